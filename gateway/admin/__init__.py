"""The sysadmin's commands, one module for each topic. `gateway.cli` registers them."""
