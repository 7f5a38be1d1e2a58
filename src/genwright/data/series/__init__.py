"""The modality of series: numbers and states in the order of time."""
