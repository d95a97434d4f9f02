"""Knows what the log says now: read without a group, kept by key, handed to pages as what changed since they looked."""
