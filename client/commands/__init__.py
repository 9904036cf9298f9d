"""One module for each command of enc. client.cli imports it when it is called, and runs its `command`."""
