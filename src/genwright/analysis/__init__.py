"""Latent-space analysis of a trained model: traversals, interpolation, attribute vectors, linear probes."""
