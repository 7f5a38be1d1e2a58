"""The forms in which a metric reads examples."""
