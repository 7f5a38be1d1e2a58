"""What the codes of a trained model hold, and how examples change with them."""
