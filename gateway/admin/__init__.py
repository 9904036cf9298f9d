"""The sysadmin's commands: one module a command family, registered in gateway/cli.py by one line each."""
