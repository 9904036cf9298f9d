"""Networks of programs with `run --net`: `nat` reaches what the host can reach, `egress` the listed names alone."""
