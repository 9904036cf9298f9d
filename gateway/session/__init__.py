"""Live sessions, seen from outside: registry, liveness, protocol, launch, termination, maintenance mode."""
