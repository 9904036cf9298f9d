"""A front's side of a session: the client of the warden, and the programs that it starts there."""
