"""Reads settings once and freezes them: flag > environment > file > default."""
