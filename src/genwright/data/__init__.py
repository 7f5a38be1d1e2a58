"""Raw files and tensors, both ways. The only room that knows modalities."""
