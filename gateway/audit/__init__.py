"""The audit log: writing, rotating, verifying and querying it, and reports made from it."""
