"""What the gateway is made of: identity, policy, vaults, sessions, the warden, audit, and the admin command line.

Imports neither `rshell` nor `client`.
"""
