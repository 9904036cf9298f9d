"""SFTP as the front speaks it itself: to refuse a client, and to lead one to the sessions that have its projects."""

SERVER, SERVER_ARGUMENTS = "sftp-server", ("-e", "-l", "QUIET")
"""What speaks it in a session, which sees the views alone."""
