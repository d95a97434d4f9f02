"""Says under which names an environment runner of RLlib records."""

from __future__ import annotations

import re
from pathlib import Path

#: what an algorithm says whose trial it does not know: Ray 2.60 forgets it on the way from Tune
_NO_TRIAL = "default"
_TRIAL_ID = re.compile(r"(?:^|_)([0-9a-f]{5,8}_\d{5})(?:_|$)")
#: where Tune makes the folder of each trial, and puts the trial's process
_TRIALS = "working_dirs"


def run_of(run: str, trial_id: str | None, trial_here: str = "") -> str:
    """Return the run of a trial: trials of one experiment have one configuration, and are runs of their own.

    Args:
        run: of the experiment.
        trial_id: as RLlib says it.
        trial_here: as the process of the trial knows it.
    """
    trial = trial_here if trial_id in (None, "", _NO_TRIAL) else trial_id
    return f"{run}-{trial}" if trial else run


def trial_of_process() -> str:
    """Return the id of the trial that this process runs, by the folder that Tune has put it in; empty = none."""
    if Path.cwd().parent.name != _TRIALS:
        return ""
    name = Path.cwd().name
    found = _TRIAL_ID.search(name)
    return found[1] if found else name


def agent_of(worker_index: int | None, *, evaluates: bool) -> str:
    """Return the agent of a runner; 0 is the driver. Runners that evaluate have the same indices as the others."""
    return f"{'eval' if evaluates else 'runner'}-{worker_index or 0}"
