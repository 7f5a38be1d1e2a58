"""Training. It knows phases, not losses."""
