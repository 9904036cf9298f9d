"""What commands do, completely or not at all: log in, mount, unmount, upload, examine this machine."""
