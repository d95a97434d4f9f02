"""Records rollouts: arrays of T steps of N environments at once, from wherever they are, numpy, PyTorch or JAX."""

from runbus.rollout.rollouts import Rollouts

__all__ = ["Rollouts"]
