"""`enc-gateway backup` and `restore`."""
