"""What enc writes down on this machine: the config file, and what is connected and mounted."""
