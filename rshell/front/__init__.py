"""The front door: who is it, is it allowed, record, do, report."""
