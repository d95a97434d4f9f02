"""Three brokers, each of them a controller too, to be killed and started again: what one of them has, two have."""

from __future__ import annotations

import subprocess
import time
import uuid
from base64 import urlsafe_b64encode
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path

from runbus.config.sources import cache
from runbus.kafka.settings import KafkaSettings
from runbus.local.kafka import KafkaOptions, broker_answers, java_command, write_configuration
from runbus.local.ports import LOOPBACK, free_port
from runbus.local.process import ProgramSpec
from tests.faults.sink.mortal import Mortal

NODES = 3

_PROPERTIES = """\
node.id={node}
controller.quorum.voters={voters}
default.replication.factor=3
min.insync.replicas=2
offsets.topic.replication.factor=3
transaction.state.log.replication.factor=3
transaction.state.log.min.isr=2
"""


class Cluster:
    """Three brokers that run from the moment it is made; `stop` ends them for good."""

    def __init__(self, folder: Path) -> None:
        options = [
            KafkaOptions(folder / f"kafka-{node}", free_port(), free_port(), cache(), heap_mb=256)
            for node in range(NODES)
        ]
        voters = ",".join(f"{node + 1}@{LOOPBACK}:{own.controller_port}" for node, own in enumerate(options))
        name = urlsafe_b64encode(uuid.uuid4().bytes).rstrip(b"=").decode()
        services = [
            _service(own, _PROPERTIES.format(node=node + 1, voters=voters), name) for node, own in enumerate(options)
        ]
        self.settings = KafkaSettings(bootstrap_servers=",".join(own.bootstrap_servers for own in options))
        self.brokers = [
            Mortal(service, folder / f"broker-{node}.log", ready=False) for node, service in enumerate(services)
        ]
        self.kills = 0

    def kill(self, nodes: Sequence[int]) -> None:
        """SIGKILL some of them, one right after the other."""
        for node in nodes:
            self.brokers[node].kill()
        self.kills += len(nodes)

    def again(self, nodes: Sequence[int]) -> None:
        """Start those anew; return once each of them answers."""
        for node in nodes:
            self.brokers[node].again()
        for node in nodes:
            self.brokers[node].wait_ready()

    def without(self, nodes: Sequence[int], seconds: float) -> None:
        """Kill some of them, and start them again after a while."""
        self.kill(nodes)
        time.sleep(seconds)  # how long they are away is what is tried
        self.again(nodes)

    def stop(self) -> None:
        """End all of them."""
        for broker in self.brokers:
            broker.kill_if_alive()


def _service(options: KafkaOptions, more: str, cluster: str) -> ProgramSpec:
    options.home.mkdir(parents=True)
    command, properties = java_command(options), write_configuration(options, more)
    tool = (*command, "kafka.tools.StorageTool", "format", f"--cluster-id={cluster}", "-c", str(properties))
    subprocess.run(tool, check=True, capture_output=True)
    return ProgramSpec(
        name="kafka",
        argv=(*command, "kafka.Kafka", str(properties)),
        probe=partial(broker_answers, options.port),
        cwd=options.home,
        address=options.bootstrap_servers,
        start_seconds=120,
        stop_seconds=30,
    )


@contextmanager
def cluster(folder: Path) -> Iterator[Cluster]:
    """Yield three brokers that answer."""
    made = Cluster(folder)
    try:
        for broker in made.brokers:
            broker.wait_ready()
        yield made
    finally:
        made.stop()
