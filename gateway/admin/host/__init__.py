"""Commands about the host: `enc-gateway setup`, `doctor` and `embedded`."""
