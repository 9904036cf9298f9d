"""The stock sshfs: mount points, mounting, probing a mount, and ending it."""
