"""The sysadmin's commands, one module a topic; `gateway.cli` registers them."""
