"""Runs the local stack: real Kafka and the real ClickHouse engine as ordinary child processes, no container needed."""
