"""Hosts every process of RunBus, and does once what all of them need.

A process is a `ProcessSpec` (component.py): facts for the host, and a component, which supplies `run`, `health` and
`metrics`. The host (host.py) does the rest: signals, the wait for Kafka with its topics and rights, heartbeats, probes,
the watch on credentials and topics, the log's format, the exit code. `catalogue.py` has one entry a process.
"""
