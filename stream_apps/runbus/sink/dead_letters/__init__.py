"""Lists and shows dead letters, and stores their records once they can be stored."""
