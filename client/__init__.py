"""The `enc` wrapper on the user's machine. Imports nothing of the server.

From the command line down, each package imports only from those after it:

cli, commands   the command line: one module for each command
operations      what commands do: log in, mount, unmount, upload, examine this machine
background      watchdog and monitors, and what they need
mount           sshfs, mount points, probing and ending a mount
connection      ssh: command lines, host keys, the session on the gateway
state           the config file, and what is connected and mounted
system          the kernel, processes, files, the passphrase prompt
"""
