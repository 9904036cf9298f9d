"""The report: one HTML page made from the audit log."""
