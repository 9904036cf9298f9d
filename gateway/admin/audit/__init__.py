"""`enc-gateway audit`."""
