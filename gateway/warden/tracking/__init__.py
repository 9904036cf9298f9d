"""Following file I/O in views with inotify, and with gocryptfs's counters where it is blind."""
