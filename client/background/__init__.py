"""What keeps running after a command has ended: a watchdog for each terminal, a monitor for each mount."""
