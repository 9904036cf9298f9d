"""What the gateway needs of the host: the account, FUSE, user namespaces, sshd. Root can repair some of it.

The installer, the embedded gateway, doctor and `script/setup` use it. It imports only the standard library.
"""
