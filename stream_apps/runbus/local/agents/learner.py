"""Searches the parameters of a small policy by the cross-entropy method, in numpy.

Source: Rubinstein and Kroese, The Cross-Entropy Method (2004); with the decaying extra noise of Szita and Lorincz,
Learning Tetris using the noisy cross-entropy method (2006).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

Vector = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class CrossEntropySettings:
    """Settings of the search: candidates a generation, how many of them survive, and the noise (all per parameter)."""

    population: int = 24
    elites: int = 6
    first_std: float = 1.0
    extra_std: float = 0.3
    extra_decay: float = 0.93


class CrossEntropy:
    """Searches for the parameters with the highest return.

    Args:
        size: number of parameters.
        seed: of the search's own generator.
    """

    def __init__(self, size: int, seed: int, settings: CrossEntropySettings | None = None) -> None:
        self.settings = settings or CrossEntropySettings()
        self.generation = 0
        self._random = np.random.default_rng(seed)
        self._mean: Vector = np.zeros(size)
        self._std: Vector = np.full(size, self.settings.first_std)
        self._tried: list[tuple[float, Vector]] = []

    def ask(self) -> Vector:
        """Return the parameters to try next, shape (size,)."""
        noise = self.settings.extra_std * self.settings.extra_decay**self.generation
        return self._random.normal(self._mean, np.sqrt(self._std**2 + noise**2))

    def tell(self, parameters: Vector, episode_return: float) -> None:
        """Report the return of one episode with these parameters."""
        self._tried.append((episode_return, parameters))
        if len(self._tried) < self.settings.population:
            return
        self._tried.sort(key=lambda pair: pair[0], reverse=True)
        elites = np.stack([p for _, p in self._tried[: self.settings.elites]])
        self._mean, self._std = elites.mean(axis=0), elites.std(axis=0)
        self._tried.clear()
        self.generation += 1


class CartPolePolicy:
    """Linear scores of the observation; takes the action with the highest."""

    size = 2 * 5

    def act(self, parameters: Vector, observation: NDArray[Any]) -> int:
        """Return 0 (push left) or 1 (push right) for an observation of shape (4,)."""
        weights = parameters.reshape(2, 5)
        return int((weights[:, :-1] @ observation + weights[:, -1]).argmax())


class PendulumPolicy:
    """Linear in ten products of (cos, sin, velocity), squashed to the torque's bounds: enough to swing up and hold."""

    size = 10
    max_torque = 2.0

    def act(self, parameters: Vector, observation: NDArray[Any]) -> NDArray[np.float32]:
        """Return the torque, float32 of shape (1,) in [-2, 2], for an observation of shape (3,)."""
        c, s, w = observation.tolist()
        w /= 8.0  # the environment clips the velocity to 8
        features = (s, w, s * c, c * w, w * abs(w), s * w * w, w * c * c, s * abs(c), s * max(c, 0.0), w * max(c, 0.0))
        return np.array([self.max_torque * np.tanh(parameters @ features)], dtype=np.float32)
