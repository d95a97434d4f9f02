"""Trains one agent: `python -m runbus.local.agents --task cartpole --run R --agent A [--seconds N] [--steps N]`."""

from __future__ import annotations

import argparse
import logging
import os

from runbus.config.log import start_log
from runbus.local.agents.tasks import TASKS
from runbus.local.agents.worker import Budget, train

log = logging.getLogger("runbus.local.agents")


def main() -> None:
    """Train one agent until its budget is spent or it is told to stop."""
    parser = argparse.ArgumentParser(
        prog="python -m runbus.local.agents", description="One learning agent of the demo."
    )
    parser.add_argument("--task", choices=sorted(TASKS), required=True)
    parser.add_argument("--run", required=True)
    parser.add_argument("--agent", required=True)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--seconds", type=float)
    parser.add_argument("--steps", type=int)
    args = parser.parse_args()
    os.nice(10)  # on one small machine the agents would starve the stack that they show
    start_log("info")
    returns = train(TASKS[args.task], args.run, args.agent, args.seed, Budget(args.seconds, args.steps))
    tenth = max(1, len(returns) // 10)
    first, last = sum(returns[:tenth]) / tenth, sum(returns[-tenth:]) / tenth
    log.info("%d episodes; mean return %.1f at first, %.1f now", len(returns), first, last)


if __name__ == "__main__":
    main()
