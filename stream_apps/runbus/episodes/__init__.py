"""Emits one event per finalised episode and revision, exact whatever is killed (see `finaliser.py` for the rules)."""
