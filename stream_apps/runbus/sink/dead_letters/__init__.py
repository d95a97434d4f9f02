"""Dead letters: which there are, what is wrong with them, and storing them after all."""
