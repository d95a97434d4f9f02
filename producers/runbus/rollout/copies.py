"""Brings the arrays of a rollout to the host, without waiting for the device that makes them.

- PyTorch, on an accelerator: each tensor is copied into pinned memory on the stream that made it, and one event behind
  them says when that is done. The memory is a ring of a few rollouts; a slot is used again once its rows are recorded.
- JAX: an array never changes, so it is kept; its copy to the host is started, and read by whoever records it.
- On the host there is nothing to wait for, and what is there may be overwritten by the next step: it is read at once.

No library is imported here that the caller does not use.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from queue import Queue
from typing import Any, Literal

Place = Literal["host", "torch", "jax", "traced"]


class Copy:
    """Values on their way to the host.

    Args:
        values: arrays, or dicts and tuples of them, that have arrived once `arrived` returns.
        arrived: waits for them; called by whoever records them.
        release: gives the memory back; `values` are not read any more.
    """

    def __init__(self, values: Any, arrived: Callable[[], object], release: Callable[[], object]) -> None:  # noqa: ANN401
        self._values = values
        self._arrived = arrived
        self.release = release

    def wait(self) -> Any:  # noqa: ANN401
        """Return the values, once they are here."""
        self._arrived()
        return self._values


def place_of(values: Any) -> Place:  # noqa: ANN401 - arrays, or dicts, lists and tuples of them
    """Return where values are: inside a function that JAX traces, on a device of PyTorch, with JAX, or on the host."""
    places = {_place(leaf) for leaf in leaves(values)}
    order: tuple[Place, ...] = ("traced", "torch", "jax")
    return next((place for place in order if place in places), "host")


def leaves(values: Any) -> list[Any]:  # noqa: ANN401
    """Return every array in dicts, lists and tuples."""
    if isinstance(values, Mapping):
        return [leaf for part in values.values() for leaf in leaves(part)]
    if isinstance(values, (list, tuple)):
        return [leaf for part in values for leaf in leaves(part)]
    if _has_keys(values):
        return [leaf for key in values.keys() for leaf in leaves(values[key])]  # noqa: SIM118 - not its rows
    return [values]


def _place(leaf: object) -> Place:
    kind = type(leaf)
    if "Tracer" in kind.__name__:
        return "traced"
    if callable(getattr(kind, "copy_to_host_async", None)):
        return "jax"
    device = getattr(leaf, "device", None) if callable(getattr(kind, "pin_memory", None)) else None
    return "torch" if getattr(device, "type", "cpu") != "cpu" else "host"


def _has_keys(values: object) -> bool:
    """Return whether an object is a dict of arrays in its own way: a TensorDict, say."""
    return callable(getattr(type(values), "keys", None)) and hasattr(type(values), "__getitem__")


def _changed(change: Callable[[Any], Any], values: Any) -> Any:  # noqa: ANN401
    if isinstance(values, Mapping):
        return {key: _changed(change, part) for key, part in values.items()}
    if isinstance(values, (list, tuple)):
        return type(values)([_changed(change, part) for part in values]) if type(values) in (list, tuple) else values
    if _has_keys(values):
        return {key: _changed(change, values[key]) for key in values.keys()}  # noqa: SIM118 - not its rows
    return change(values)


class JaxCopies:
    """Starts copies of JAX's arrays; they are immutable, so that they are their own memory."""

    def start(self, values: Any) -> Copy:  # noqa: ANN401
        """Return at once; what the caller hands to a function that donates its arguments is gone for us, too."""
        for leaf in leaves(values):
            if _place(leaf) == "jax":
                leaf.copy_to_host_async()
        return Copy(values, lambda: None, lambda: None)


class TorchRing:
    """Copies PyTorch's tensors into pinned memory of its own.

    Args:
        slots: how many rollouts may be on their way. With none free, `start` waits for the oldest to be recorded.
    """

    def __init__(self, slots: int = 2) -> None:
        self._free: Queue[dict[int, Any]] = Queue()
        for _ in range(slots):
            self._free.put({})

    def start(self, values: Any) -> Copy:  # noqa: ANN401
        """Return once the copies are in the device's queue. Waits for no device."""
        torch = sys.modules["torch"]
        memory = self._free.get()
        devices: set[Any] = set()
        number = iter(range(1_000_000))

        def copied(leaf: Any) -> Any:  # noqa: ANN401
            if not isinstance(leaf, torch.Tensor):
                return leaf
            place = memory_for(memory, next(number), leaf.detach())
            if leaf.device.type != "cpu":
                devices.add(leaf.device)
            return place

        try:
            found = _changed(copied, values)
            events = [event_behind(device) for device in devices]
        except BaseException:
            self._free.put(memory)
            raise
        return Copy(found, lambda: [event.synchronize() for event in events], lambda: self._free.put(memory))


def memory_for(memory: dict[int, Any], number: int, tensor: Any) -> Any:  # noqa: ANN401 - a tensor
    """Return the host's copy of a tensor, in the memory that held the last one of this number if it fits."""
    torch = sys.modules["torch"]
    kept = memory.get(number)
    if kept is None or kept.shape != tensor.shape or kept.dtype != tensor.dtype:
        pinned = tensor.device.type == "cuda"  # ROCm's, too; elsewhere there is no such memory
        kept = memory[number] = torch.empty(tensor.shape, dtype=tensor.dtype, device="cpu", pin_memory=pinned)
    kept.copy_(tensor, non_blocking=True)
    return kept


def event_behind(device: Any) -> Any:  # noqa: ANN401 - a device, and an event of PyTorch
    """Return an event behind all that the current stream of a device has to do."""
    torch = sys.modules["torch"]
    event = torch.Event(device=device)
    event.record(torch.accelerator.current_stream(device))
    return event
