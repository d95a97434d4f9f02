"""Serves a directory until SIGTERM: `python -m runbus.local.clickhouse_http --path DIR --port N --users FILE`."""

import argparse
import logging
import os
import signal
import sys
from pathlib import Path

import uvicorn

from runbus.config.errors import RunBusError
from runbus.local.clickhouse_http.app import application
from runbus.local.clickhouse_http.engine import ChdbEngine
from runbus.local.clickhouse_http.users import load_users
from runbus.local.paths import writable_directory
from runbus.local.ports import listen

# Running statements get this long after SIGTERM; the engine survives being cut off.
_GRACE_SECONDS = 10


def serve(path: Path, port: int, users_file: Path) -> None:
    """Serve the directory on 127.0.0.1 until SIGTERM or SIGINT. Raises RunBusError for what the user can mend."""
    users = load_users(users_file)
    engine = ChdbEngine(writable_directory(path, "--path"))
    try:
        server_socket = listen(port, "--port")
        config = uvicorn.Config(
            application(engine, users),
            log_level="warning",
            access_log=False,
            timeout_keep_alive=75,
            timeout_graceful_shutdown=_GRACE_SECONDS,
        )
        # uvicorn raises the signal once more at its end; the default action would skip closing the engine.
        signal.signal(signal.SIGTERM, lambda _number, _frame: None)
        uvicorn.Server(config).run(sockets=[server_socket])
    finally:
        engine.close()


def main() -> None:
    """Parse the command line, serve, exit."""
    parser = argparse.ArgumentParser(prog="python -m runbus.local.clickhouse_http", description=__doc__)
    parser.add_argument("--path", type=Path, required=True, help="data directory of the engine")
    parser.add_argument("--port", type=int, required=True, help="port on 127.0.0.1")
    parser.add_argument("--users", type=Path, required=True, help="users file (JSON)")
    arguments = parser.parse_args()
    logging.basicConfig(format="%(asctime)s %(levelname)s %(name)s %(message)s", level=logging.INFO)
    try:
        serve(arguments.path.absolute(), arguments.port, arguments.users)
    except RunBusError as error:
        sys.stderr.write(f"{error}\n")
        raise SystemExit(1) from None
    except KeyboardInterrupt:
        pass
    # A worker thread may still be inside a statement that outlived its grace: do not wait for it.
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(0)


if __name__ == "__main__":
    main()
