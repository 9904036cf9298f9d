"""The messages of gateway.session.protocol: what all have, and those of one kind."""
