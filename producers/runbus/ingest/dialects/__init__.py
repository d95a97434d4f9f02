"""Formats of other programs, a file each: documents in, acts out (`runbus.ingest.acts`)."""
