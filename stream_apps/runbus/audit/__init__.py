"""Does ClickHouse hold what the agents produced? Produced comes from the log itself, stored from ClickHouse."""
