"""Pictures: files and arrays to pixels, and back."""
