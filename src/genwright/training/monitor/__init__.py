"""What a training watches of itself, and the issues that it names."""
