"""The restricted shell: sshd runs it for every login. It imports `gateway`; nothing imports it."""
