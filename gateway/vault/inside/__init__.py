"""Programs of ours that are run as a file in a sandbox of their own, where they mount a vault and work in its view."""
