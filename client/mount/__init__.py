"""The stock sshfs: mount points, mounting, checking a mount, and taking it away."""
