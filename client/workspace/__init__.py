"""Workspaces on the gateway: how ssh and editors of this machine reach them."""
