"""`enc-gateway key`: authorized_keys and invitations."""
