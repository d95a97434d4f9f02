"""Computes the id of an episode, which depends on nothing but its names."""

from __future__ import annotations

from hashlib import sha256

from runbus.kafka.model import StreamId


def episode_id(stream: StreamId, env: int, episode: int) -> str:
    """Return the first 32 hex digits of the SHA-256 of `run/agent/attempt/env/episode`; ids have no "/" in them."""
    return sha256(f"{stream}/{env}/{episode}".encode()).hexdigest()[:32]
