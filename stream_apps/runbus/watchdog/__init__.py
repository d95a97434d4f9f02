"""Says what is wrong: judges every consumer, process and recorder by what the log and the broker say of them.

The rules are pure: `positions.py` (one consumer in one partition), `components.py` (heartbeats), `round_trips.py` (the
canary), `alarms.py` (what has lasted long enough to call somebody). `broker.py`, `canary.py` and `webhook.py` are the
edges, `watch.py` joins them, `process.py` makes a process of it. What each state means: docs/watch.md.
"""
