"""The command line: verbs, their options, and sentences instead of tracebacks."""
