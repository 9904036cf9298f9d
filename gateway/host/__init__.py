"""What the host has to provide, and what root may put right: the account, FUSE, user namespaces, sshd.

For the installer, the embedded gateway, doctor and `script/setup` alike; with nothing but the standard library.
"""
