"""Small programs of our own that run in the sandboxes: each is one file that imports nothing of ours, and a sandbox
gets a copy of it (`own_programs`).
"""
