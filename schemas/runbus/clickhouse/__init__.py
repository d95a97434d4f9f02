"""Creates and reaches the ClickHouse tables.

`migrate` creates them, `client` connects, `errors` says what a failure means, `deduplication` makes an insert
repeatable, `queries` holds the named queries. The SQL is in migrations/ and queries/; docs/sql.md describes it.
"""
