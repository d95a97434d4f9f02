"""Formats of whole files and folders, a module each: a path in, acts out (`runbus.ingest.formats.ReadFile`)."""
