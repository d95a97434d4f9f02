"""Records Gymnasium environments by wrapping them; `runbus.gymnasium.vector` wraps vector environments."""

from runbus.gymnasium.environment import RecordSteps
from runbus.gymnasium.spaces import space_json

__all__ = ["RecordSteps", "space_json"]
