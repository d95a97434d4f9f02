"""Emits one event per finished episode, exact whatever is killed (see `finaliser.py` for the rules)."""
