"""The front door: identify the caller, authorize the command, record it, carry it out, report."""
