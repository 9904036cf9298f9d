"""Several hosts, one store of vaults: what they share, what each copies of it, and how they find each other.

The vault's own flock(2) on the shared file system decides who has a project. Nothing here decides that: what is copied
tells people where to go, before they are asked for a secret.
"""
