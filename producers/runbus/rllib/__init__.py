"""Records trainings of RLlib: `config.callbacks(**RecordRunners(run="ppo-1").callbacks())`."""

from runbus.rllib.runners import RecordRunners

__all__ = ["RecordRunners"]
