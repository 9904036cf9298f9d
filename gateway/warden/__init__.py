"""The warden: PID 1 of a session's sandbox. It unlocks and locks views, runs programs, and ends the session."""
