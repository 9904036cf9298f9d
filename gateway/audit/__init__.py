"""The audit log: writing, rotating, verifying and querying it."""
