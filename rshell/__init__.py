"""The restricted shell: what sshd runs for every login. It imports `gateway`; nothing imports it."""
