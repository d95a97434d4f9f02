"""A real ZooKeeper, which is what replicated tables of ClickHouse agree over."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

from runbus.config.sources import cache
from runbus.local.jars import Artifact, class_path
from runbus.local.java import find_java
from runbus.local.ports import free_port
from runbus.local.process import ProgramSpec, running

ZOOKEEPER = Artifact("org.apache.zookeeper", "zookeeper", "3.9.5")
# It needs them and its POM calls them optional.
_BESIDE = (
    Artifact("io.dropwizard.metrics", "metrics-core", "4.1.12.1"),
    Artifact("org.xerial.snappy", "snappy-java", "1.1.10.7"),
)


@contextmanager
def keeper(folder: Path) -> Iterator[int]:
    """Run it; yield its port on 127.0.0.1."""
    port, data = free_port(), folder / "zookeeper"
    data.mkdir()
    settings = folder / "zookeeper.cfg"
    settings.write_text(f"dataDir={data}\nclientPort={port}\nclientPortAddress=127.0.0.1\nadmin.enableServer=false\n")
    jars = ":".join(str(jar) for jar in class_path(ZOOKEEPER, cache(), alone=_BESIDE))
    main = "org.apache.zookeeper.server.quorum.QuorumPeerMain"
    service = ProgramSpec(
        name="zookeeper",
        argv=(str(find_java()), "-Xmx128m", "-cp", jars, main, str(settings)),
        probe=partial(_answers, port),
    )
    with running(service, folder / "zookeeper.log"):
        yield port


def _answers(port: int) -> bool:
    try:
        with socket.create_connection(("127.0.0.1", port), timeout=1) as asked:
            asked.sendall(b"srvr")
            return b"Mode: standalone" in asked.recv(4096)
    except OSError:
        return False
