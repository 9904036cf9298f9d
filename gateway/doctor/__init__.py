"""Checks of the host and the gateway, one module for each topic. They change nothing, and each finding names its fix.

Root runs the checks of the account's files with the account's identity. A check that needs root (sshd's configuration)
is skipped for others, with a warning that says so.
"""
