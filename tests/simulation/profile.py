"""Draws the faults of one simulation, and how often they happen, from its seed.

Each seed switches about half of the faults off (swarm testing, Groce et al., ISSTA 2012), so that faults which hide
each other also happen alone.
"""

from __future__ import annotations

import random
from dataclasses import dataclass, replace


@dataclass(frozen=True, slots=True)
class Profile:
    """The faults of one seed: rates are per call, `every` is mean virtual seconds between two of a kind (0 = never)."""

    seed: int
    sinks: int
    partitions: int
    records: int
    seconds: float
    range_steps: int
    lost_requests: float
    lost_answers: float
    late: float
    twice: float
    unstorable: float
    late_commits: bool
    kills_every: float
    stops_every: float
    joins_every: float
    store_kills_every: float
    store_refuses_every: float
    broker_away_every: float
    recreated: bool
    retention: bool
    rewound: bool
    learned: bool
    retries_every: float


def draw(seed: int) -> Profile:
    """Return the profile of a seed."""
    rng = random.Random(f"profile {seed}")

    def maybe(low: float, high: float) -> float:
        return rng.uniform(low, high) if rng.random() < 0.5 else 0.0

    late_commits = rng.random() < 0.15
    rewound = rng.random() < 0.25
    profile = Profile(
        seed=seed,
        sinks=rng.randint(1, 3),
        partitions=rng.randint(1, 3),
        records=rng.randint(10, 60),
        seconds=rng.uniform(10.0, 60.0),
        range_steps=rng.choice((4, 4, 10) if rewound else (4, 10, 30, 1000)),  # with equal bounds again
        lost_requests=maybe(0.0, 0.15),
        lost_answers=maybe(0.0, 0.15),
        # an insert that arrives behind a commit which arrives late itself: no sink can survive both
        late=0.0 if late_commits else maybe(0.0, 0.15),
        twice=maybe(0.0, 0.1),
        unstorable=maybe(0.0, 0.3),
        late_commits=late_commits,
        kills_every=maybe(1.0, 15.0),
        stops_every=maybe(3.0, 20.0),
        joins_every=maybe(3.0, 15.0),
        store_kills_every=rng.uniform(0.5, 3.0) if rewound and rng.random() < 0.5 else maybe(1.0, 15.0),
        store_refuses_every=maybe(3.0, 15.0),
        broker_away_every=maybe(5.0, 20.0),
        recreated=rng.random() < 0.15,
        retention=rng.random() < 0.2,
        rewound=rewound,
        learned=rng.random() < 0.3,
        retries_every=0.0,
    )
    if not profile.learned or late_commits:  # a retry relies on the committed offset, which late commits move back
        return profile
    # if every value can be stored, a partition waits for the registry, and there are no dead letters
    return replace(profile, retries_every=rng.uniform(1.0, 10.0), unstorable=profile.unstorable or 0.02)
