"""What users write, checked by mypy --strict: nothing here is run."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

from runbus.kafka.model import TopicPartition
from runbus.kafka.settings import KafkaSettings
from runbus.reader import (
    EpisodeFinalized,
    LiveMetrics,
    Offset,
    Reader,
    RunFinished,
    RunStarted,
    Seq,
    Steps,
    Unreadable,
    UnreadableRecord,
)


def readers(saved: dict[TopicPartition, int]) -> Iterator[Reader]:
    """Begin everywhere that one can begin."""
    settings = KafkaSettings(bootstrap_servers="127.0.0.1:9092")
    yield Reader("page", topics=["steps", "runs"], run="cartpole-*", agent=None, instance="0", settings=settings)
    yield Reader("page", otherwise="latest", on_unreadable="raise")
    yield Reader(start="beginning")
    yield Reader(start=datetime.now(UTC))
    yield Reader(start=timedelta(hours=1))
    yield Reader(start=Offset(17))
    yield Reader(run="cartpole-1", agent="agent-0", start=Seq(5000, attempt=1))
    yield Reader(start=saved)


def total(reader: Reader) -> float:
    """Read by kind of event."""
    found = 0.0
    with reader:
        for event in reader:
            match event:
                case Steps(gap=(first, last)):
                    found -= last - first + 1
                case Steps():
                    found += float(event.reward[event.terminated].sum()) + event.observation[0]
                    run = reader.run_of(event)
                    found += 0 if run is None else len(run.config)
                case EpisodeFinalized(return_=value):
                    found += value
                case LiveMetrics():
                    found += event.steps_per_second
                case RunStarted() | RunFinished():
                    found += event.produced + event.at.offset
                case Unreadable():
                    found += len(event.reason)
            saved: dict[TopicPartition, int] = reader.commit()
            if reader.lag().milliseconds < 100 and saved:
                reader.close()
    return found


async def follow(reader: Reader) -> None:
    """Read while a loop turns."""
    async with reader:
        async for event in reader:
            partition: int = event.at.partition
            await reader.commit_async()
            if partition > 3:
                break


def careful(reader: Reader) -> str:
    """Look at what cannot be read."""
    try:
        return "" if reader.poll(timeout=1.0) is None else "something"
    except UnreadableRecord as error:
        return error.event.reason
