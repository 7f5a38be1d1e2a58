"""Is it good, is it varied, did it copy: never a number without its floor and its company."""
