"""The views of a session: how each is unlocked and locked."""
