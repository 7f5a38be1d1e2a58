"""What lies on disk is whole: writes that survive a power cut, tensors without pickle."""
