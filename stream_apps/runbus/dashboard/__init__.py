"""Serves the page: agents live, every episode again, and whether anything is missing.

`process.py` is the wiring, `server.py` the listening socket on the host's event loop, `app.py` the routes: the files
of `page/` (static.py) and a router a file of `api/`. `live/` reads the log, `history/` asks ClickHouse, `security/`
decides who may look. How to use it: docs/dashboard.md.
"""
