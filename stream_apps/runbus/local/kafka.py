"""Describes the process of a one-node Apache Kafka broker (KRaft: broker and controller in one JVM)."""

import os
import shutil
import subprocess
import uuid
from base64 import urlsafe_b64encode
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from confluent_kafka import KafkaException

from runbus.config.errors import RunBusError
from runbus.config.progress import OnProgress, unseen
from runbus.kafka.clients import admin_client
from runbus.kafka.settings import KafkaSettings
from runbus.local.child import PARENT_VARIABLE, wrap
from runbus.local.class_archive import ClassArchive
from runbus.local.jars import Artifact, class_path
from runbus.local.java import find_java
from runbus.local.ports import LOOPBACK, answers
from runbus.local.process import ProgramSpec

KAFKA = Artifact("org.apache.kafka", "kafka_2.13", "4.4.0")
# kafka_2.13 brings the SLF4J interface and log4j but not what joins them: without it the broker logs nothing.
LOG_BINDING = Artifact("org.apache.logging.log4j", "log4j-slf4j-impl", "2.25.5")

_PROPERTIES = """\
# Written by runbus at every start.
process.roles=broker,controller
node.id=1
# A static quorum takes its address from here and not from the log, so the ports may change between starts.
controller.quorum.voters=1@{host}:{controller_port}
listeners=PLAINTEXT://{host}:{port},CONTROLLER://{host}:{controller_port}
advertised.listeners=PLAINTEXT://{host}:{port}
controller.listener.names=CONTROLLER
listener.security.protocol.map=CONTROLLER:PLAINTEXT,PLAINTEXT:PLAINTEXT
log.dirs={data}
auto.create.topics.enable=false
# A 4 MiB record plus its batch overhead and headers.
message.max.bytes=8388608
replica.fetch.max.bytes=8388608
offsets.topic.replication.factor=1
offsets.topic.num.partitions=8
transaction.state.log.replication.factor=1
transaction.state.log.min.isr=1
transaction.state.log.num.partitions=4
share.coordinator.state.topic.replication.factor=1
share.coordinator.state.topic.min.isr=1
share.coordinator.state.topic.num.partitions=4
# One machine: waiting for more members only delays a start.
group.initial.rebalance.delay.ms=0
group.min.session.timeout.ms=1000
# New consumer protocol: the broker owns these; a killed member is replaced after 6 s instead of 45 s.
group.consumer.min.session.timeout.ms=1000
group.consumer.session.timeout.ms=6000
group.consumer.min.heartbeat.interval.ms=500
group.consumer.heartbeat.interval.ms=1000
# After a SIGKILL the broker waits until the controller gives up on its previous life: 3 s instead of 9 s.
broker.session.timeout.ms=3000
broker.heartbeat.interval.ms=500
num.recovery.threads.per.data.dir=2
controlled.shutdown.max.retries=1
log.cleaner.backoff.ms=1000
"""

_LOG4J = """\
status=warn
# The broker logs while the JVM shuts down.
shutdownHook=disable
appender.console.type=Console
appender.console.name=console
appender.console.layout.type=PatternLayout
appender.console.layout.pattern=%d{yyyy-MM-dd'T'HH:mm:ss.SSS} %p %c{1} %m%n
rootLogger.level=warn
rootLogger.appenderRef.console.ref=console
logger.server.name=kafka.server.KafkaRaftServer
logger.server.level=info
"""


@dataclass(frozen=True, slots=True)
class KafkaOptions:
    """Location of one broker: its directory (survives restarts), its ports on 127.0.0.1, the jar cache, its heap."""

    home: Path
    port: int
    controller_port: int
    cache: Path
    heap_mb: int = 512

    @property
    def bootstrap_servers(self) -> str:
        """Address for clients."""
        return f"{LOOPBACK}:{self.port}"


def kafka_service(options: KafkaOptions, report: OnProgress = unseen) -> ProgramSpec:
    """Prepare the broker's directory (configuration; storage formatted once) and return how to run it.

    Raises RunBusError if jars or Java are missing, or the storage cannot be formatted.
    """
    command = java_command(options, report)
    options.home.mkdir(parents=True, exist_ok=True)
    properties = write_configuration(options)
    if not (options.home / "data" / "meta.properties").is_file():
        _format(options, command, properties)
        command = java_command(options)
    return ProgramSpec(
        name="kafka",
        argv=(*command, "kafka.Kafka", str(properties)),
        probe=partial(broker_answers, options.port),
        cwd=options.home,
        address=options.bootstrap_servers,
        start_seconds=90,
        stop_seconds=30,
    )


def java_command(options: KafkaOptions, report: OnProgress = unseen) -> tuple[str, ...]:
    """Return how to run a class of Kafka: append its name and arguments. Raises RunBusError without jars or Java."""
    jars = _jars(options, report)
    # -XX:TieredStopAtLevel=1, the quick compiler only: on a small machine the optimising one takes more than it gives
    # back (measured end to end at 400 k steps/s: 0.4 instead of 0.7 us of processor time a step).
    jvm = ("-Xms128m", f"-Xmx{options.heap_mb}m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1")
    logging_to = f"-Dlog4j2.configurationFile={options.home / 'log4j2.properties'}"
    scratch = f"-Djava.io.tmpdir={_scratch(options)}"
    archive = _class_archive(options).using
    class_path_text = ":".join(str(jar) for jar in jars)
    return str(find_java()), *archive, *jvm, "-Djava.awt.headless=true", logging_to, scratch, "-cp", class_path_text


def _scratch(options: KafkaOptions) -> Path:
    """Return where the JVM unpacks its native libraries: one that is killed leaves them behind."""
    return options.home / "tmp"


def _jars(options: KafkaOptions, report: OnProgress = unseen) -> tuple[Path, ...]:
    return class_path(KAFKA, options.cache, alone=(LOG_BINDING,), report=report)


def _class_archive(options: KafkaOptions) -> ClassArchive:
    return ClassArchive.of(find_java(), _jars(options), options.cache)


def _format(options: KafkaOptions, command: tuple[str, ...], properties: Path) -> None:
    """Format the storage; the first time on this machine its JVM also makes the class archive, if there is space."""
    java, *arguments = command
    with _class_archive(options).made() as making:
        try:
            format_storage((java, *making, *arguments), properties)
        except RunBusError:
            if not making:
                raise
            format_storage(command, properties, "--ignore-formatted")


def broker_answers(port: int) -> bool:
    """Return whether a broker on `port` answers a metadata request and counts itself as alive."""
    if not answers(port):
        return False
    admin = admin_client(KafkaSettings(f"{LOOPBACK}:{port}"))  # logs nothing: a broker may not be up yet
    try:
        return bool(admin.list_topics(timeout=2).brokers)
    except KafkaException:
        return False


def write_configuration(options: KafkaOptions, more: str = "") -> Path:
    """Write the broker's files into its directory; properties in `more` win. Returns the path of server.properties."""
    shutil.rmtree(_scratch(options), ignore_errors=True)
    _scratch(options).mkdir()
    properties = options.home / "server.properties"
    text = _PROPERTIES.format(
        host=LOOPBACK, port=options.port, controller_port=options.controller_port, data=options.home / "data"
    )
    properties.write_text(text + more, encoding="utf-8")
    (options.home / "log4j2.properties").write_text(_LOG4J, encoding="utf-8")
    return properties


def format_storage(command: tuple[str, ...], properties: Path, *more: str) -> None:
    """Format the storage once; `more` are further arguments of Kafka's tool. Raises RunBusError with what it said."""
    cluster = urlsafe_b64encode(uuid.uuid4().bytes).rstrip(b"=").decode()
    # "format -t -abc" would read the id as an option.
    arguments = ("kafka.tools.StorageTool", "format", f"--cluster-id={cluster}", "-c", str(properties), *more)
    # Bound to this process: a tool that outlived it could write while the next start does.
    environment = {**os.environ, PARENT_VARIABLE: str(os.getpid())}
    done = subprocess.run(wrap((*command, *arguments)), env=environment, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        output = (done.stderr or done.stdout)[-500:]
        raise RunBusError(f"cannot format the Kafka storage of {properties.parent}: {output}")
