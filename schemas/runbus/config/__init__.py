"""Settings, read once and frozen: flag > environment > file > default."""
