"""The ClickHouse HTTP interface over the chDB engine, for one machine: what talks to it can not tell the difference.

It does less than a ClickHouse server (no SQL users, no progress headers) and nothing that a server cannot.
"""
