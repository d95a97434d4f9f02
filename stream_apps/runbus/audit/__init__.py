"""Checks that ClickHouse holds what the agents produced: produced comes from the log, stored from ClickHouse."""
