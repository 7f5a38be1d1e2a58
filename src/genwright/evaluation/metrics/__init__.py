"""One question asked of generated examples in each class."""
