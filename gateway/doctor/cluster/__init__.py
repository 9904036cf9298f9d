"""Checks of a host of a cluster, and of the file system that the vaults are on."""
