"""A front's side of a session: the client of the warden, and what programs it asks for."""
