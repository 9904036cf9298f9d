"""Who holds a session and its views: channels, each by a key, and what each is told, does, and ends with."""
