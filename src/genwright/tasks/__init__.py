"""What is to be made and what is given. Knows examples, not families."""
