"""Programs that users run in a session: starting and stopping them, and whether they do something."""
