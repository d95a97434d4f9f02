"""Shows and moves the positions of consumer groups: what each has read, what is left, who reads it."""
