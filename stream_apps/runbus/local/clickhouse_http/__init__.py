"""Serves the ClickHouse HTTP interface over the chDB engine, on one machine: clients use it like a server.

It does less than a ClickHouse server (no SQL users, no progress headers) and nothing that a server cannot.
"""
