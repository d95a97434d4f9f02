"""How many steps each agent makes a minute: an app of Faust's own, with an agent, a table and a windowed count.

    python examples/steps_per_minute.py

Of each agent the table keeps the minute that is open and how many steps it has. Once an agent's steps are of a later
minute, one line of JSON about the minute that is over goes to the topic `runbus.faust.steps-per-minute-counts`. What a
SIGKILL does to these numbers is in docs/faust.md; examples/success_rate.py is an app for which it does nothing.
"""

from __future__ import annotations

import logging

import numpy as np

from runbus.faust import LogStream, new_app, run, steps
from runbus.reader import Steps, Unreadable

MINUTE_US = 60_000_000
log = logging.getLogger("runbus.steps_per_minute")

app = new_app("steps-per-minute")
incoming = steps(app)
counts = app.own_topic("counts", key_type=str)
#: Agent -> the newest offset that is in here, its attempt and next seq, its open minute, and the steps of that.
table = app.Table("open", default=lambda: [-1, 0, 0, 0, 0], key_type=str)


@app.agent(incoming.topic)
async def count(stream: LogStream) -> None:
    """Count the steps of each agent by their minute."""
    async for event in incoming.events(stream):
        if isinstance(event, Unreadable):
            log.warning("%s cannot be read: %s", event.at, event.reason)
            continue
        key = f"{event.run_id}/{event.agent_id}"
        newest, attempt, next_seq, minute, steps_of_it = table[key]
        if event.at.offset <= newest:
            continue  # it is in the table already: after a crash records come again
        seq = next_seq if event.attempt == attempt else 0
        for found, number in by_minute(event, seq):
            if found > minute and steps_of_it:
                await counts.send(key=key, value={"agent": key, "minute": minute, "steps": steps_of_it})
            steps_of_it = number + (steps_of_it if found <= minute else 0)  # a late step belongs to the open minute
            minute = max(minute, found)
        table[key] = [event.at.offset, event.attempt, max(seq, event.last_seq + 1), minute, steps_of_it]


def by_minute(event: Steps, first_seq: int) -> list[tuple[int, int]]:
    """Return (minute since the epoch, steps) of what is no reset, and not below `first_seq`: that was sent again."""
    fresh = (event.seq >= first_seq) & (event.step > 0)
    minutes, numbers = np.unique(event.ts[fresh] // MINUTE_US, return_counts=True)
    return list(zip(minutes.tolist(), numbers.tolist(), strict=True))


if __name__ == "__main__":
    run(app)
