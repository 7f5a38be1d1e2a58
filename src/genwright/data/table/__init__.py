"""Tables: files to rows, and back."""
