"""The ClickHouse engine of the local stack, on all interfaces of a container, with the variables of the real image."""

import os
import signal
from pathlib import Path

import uvicorn

from runbus.local.clickhouse_http.app import application
from runbus.local.clickhouse_http.engine import ChdbEngine
from runbus.local.clickhouse_http.users import user

name = os.environ["CLICKHOUSE_USER"]
file = os.environ.get("CLICKHOUSE_PASSWORD_FILE", "")
password = Path(file).read_text(encoding="utf-8").strip() if file else os.environ["CLICKHOUSE_PASSWORD"]
Path("/data/clickhouse").mkdir(parents=True, exist_ok=True)
engine = ChdbEngine(Path("/data/clickhouse"))
# uvicorn raises the signal once more when it is done; the default action would skip closing the engine.
signal.signal(signal.SIGTERM, lambda _number, _frame: None)
try:
    users = {name: user(name, password, owner=True)}
    uvicorn.run(
        application(engine, users), host="0.0.0.0", port=8123, log_level="warning", timeout_graceful_shutdown=10
    )
finally:
    engine.close()
os._exit(0)
