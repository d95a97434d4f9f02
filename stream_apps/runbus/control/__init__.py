"""Asks the agents of a run to pause, stop, set a value and so on, and shows who did (docs/control.md)."""
