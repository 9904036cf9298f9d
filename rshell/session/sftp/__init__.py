"""SFTP as the front speaks it itself: to refuse a client, and to lead one to several sessions."""
