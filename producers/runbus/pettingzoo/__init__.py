"""Records PettingZoo's worlds by wrapping them: what each agent saw, did and got, on the world's tick."""

from runbus.pettingzoo.aec import RecordAEC
from runbus.pettingzoo.parallel import RecordParallel

__all__ = ["RecordAEC", "RecordParallel"]
