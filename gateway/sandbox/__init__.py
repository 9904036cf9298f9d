"""What a session and its programs can see and do: bubblewrap, system call filter, cgroups, network."""
