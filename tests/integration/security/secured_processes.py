"""RunBus's own processes as the users of a secure broker: passwords only in files, all they say kept."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

from runbus.config.clickhouse import ClickHouseSettings
from runbus.kafka.principals import Role
from runbus.kafka.settings import KafkaSettings

#: An agent that records until it is told to stop; its last line says what became of its steps.
AGENT = """
import json, signal, sys, time
from runbus.recorder import Recorder

asked = []
signal.signal(signal.SIGUSR1, lambda *_: asked.append(1))
recorder = Recorder(sys.argv[1], "agent-0")
step, least = 0, int(sys.argv[2])
while step < least or not asked:
    if step % 100 == 0:
        recorder.reset(0.0)
    if step % 20 == 0:
        time.sleep(0.01)  # an environment that takes its time: 2,000 steps/s, some batch is always on its way
    step += 1
    recorder.step(step, 1.0, step % 100 == 0, False, float(step))
    if step == 1:
        print("recording", flush=True)
recorder.close()
recorder.flush(float(sys.argv[3]))
print(json.dumps(recorder.stats()), flush=True)
"""
MODULES: dict[Role, str] = {"sink": "runbus.sink", "episodes": "runbus.episodes", "live-metrics": "runbus.live_metrics"}


def environment(settings: KafkaSettings, folder: Path, name: str) -> dict[str, str]:
    """Return the variables of a client; its password is in a file of `folder`."""
    found = {
        "KAFKA_BOOTSTRAP_SERVERS": settings.bootstrap_servers,
        "KAFKA_SECURITY_PROTOCOL": settings.security_protocol,
        "KAFKA_SSL_CA_LOCATION": settings.ssl_ca_location,
        "KAFKA_SSL_CERTIFICATE_LOCATION": settings.ssl_certificate_location,
        "KAFKA_SSL_KEY_LOCATION": settings.ssl_key_location,
        "RUNBUS_TOPIC_PREFIX": settings.topic_prefix,
        "RUNBUS_SINK_RANGE_SECONDS": "1",
        "RUNBUS_STREAMS_SESSION_SECONDS": "6",
    }
    if settings.uses_password:
        secret = folder / f"{name}.password"
        secret.write_text(settings.sasl_password.reveal() + "\n")
        found |= {"KAFKA_SASL_USERNAME": settings.sasl_username, "KAFKA_SASL_PASSWORD_FILE": str(secret)}
    return found


def clickhouse_environment(settings: ClickHouseSettings, folder: Path) -> dict[str, str]:
    """Return the variables for ClickHouse; the password is in a file of `folder`."""
    secret = folder / "clickhouse.password"
    secret.write_text(settings.password.reveal())
    return {
        "CLICKHOUSE_URL": settings.url,
        "CLICKHOUSE_USER": settings.user,
        "CLICKHOUSE_PASSWORD_FILE": str(secret),
        "CLICKHOUSE_DATABASE": settings.database,
    }


class Processes:
    """Starts processes; whatever still runs at the end is killed."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._started: dict[str, subprocess.Popen[bytes]] = {}

    def start(self, name: str, arguments: list[str], env: dict[str, str]) -> subprocess.Popen[bytes]:
        """Run Python with these arguments."""
        with self.log_file(name).open("wb") as output:
            process = subprocess.Popen(
                [sys.executable, *arguments],
                env={**os.environ, **env},
                cwd=self.folder,
                stdout=output,
                stderr=subprocess.STDOUT,
            )
        self._started[name] = process
        return process

    def log_file(self, name: str) -> Path:
        """Return where a process says things."""
        return self.folder / f"{name}.log"

    def log(self, name: str) -> str:
        """Return what a process said so far."""
        return self.log_file(name).read_text(errors="replace")

    def document(self, name: str) -> Any:
        """Return the JSON that a command printed; before it, one that takes long says how far it is."""
        log = self.log(name)
        return json.loads(log[log.index("{") :])

    def command_lines(self) -> str:
        """Return what everybody on the machine can read of the running ones."""
        running = [p for p in self._started.values() if p.poll() is None]
        return "\n".join(Path(f"/proc/{p.pid}/cmdline").read_text().replace("\0", " ") for p in running)

    def ended(self, name: str) -> bool:
        """Return whether a process is not there any more."""
        return self._started[name].poll() is not None

    def stop(self, name: str) -> int:
        """SIGTERM; return the exit code."""
        self._started[name].send_signal(signal.SIGTERM)
        return self._started[name].wait(60)

    def kill_all(self) -> None:
        """SIGKILL what runs."""
        for process in self._started.values():
            if process.poll() is None:
                process.kill()
                process.wait()
