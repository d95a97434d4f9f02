"""Computes derived data again from the log, beside the old: rows in ClickHouse, episodes, live totals; and compares."""
