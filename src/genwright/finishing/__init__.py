"""What is done with examples once they are made: those that fail are made again, the best of several is kept, and
another run makes something of them."""
