"""Keeps on disk what a recorder has not delivered, so that the death of its process loses nothing."""
