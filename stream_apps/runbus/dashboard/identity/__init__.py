"""Checks live, stream by stream, that produced = stored + dropped + in flight + dead letters.

`balance.py` has the rules for one stream, pure; `watch.py` asks Kafka and ClickHouse while somebody looks.
"""
