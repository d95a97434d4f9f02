"""Implements the `runbus` command: one file a group of commands; each only parses, calls and prints."""
