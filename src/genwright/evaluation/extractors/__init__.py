"""Feature extractors: examples to vectors that distances mean something in."""
