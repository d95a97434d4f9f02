"""Records the rollouts of a trainer of TRL: its completions, its environments, every reward of each (docs/trl.md)."""

from runbus.trl.rollouts import RecordRollouts

__all__ = ["RecordRollouts"]
