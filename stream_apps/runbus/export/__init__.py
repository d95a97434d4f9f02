"""Writes the episodes of a recorded run in the formats of other people: Parquet files and Minari datasets."""
