"""Values of other libraries, without any of them: each fake does what the real class does when it is asked."""

import array
import dataclasses
import enum
from collections import OrderedDict
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

import numpy as np
import pytest

from runbus.recorder import Recorder, RunBus
from runbus.recorder.events import StepsRecorded
from runbus.recorder.values import Capture, as_is, number
from runbus.schemas.layout import decode_value


class Torch:
    """A torch.Tensor: `numpy()` refuses a gradient, another device and bfloat16; `__array__` calls it."""

    def __init__(
        self, values: Any, *, device: str = "cpu", grad: bool = False, bfloat16: bool = False, sparse: bool = False
    ) -> None:
        self.values = np.asarray(values)
        self.device, self.requires_grad, self.bfloat16, self.is_sparse = device, grad, bfloat16, sparse

    def _with(self, **changes: Any) -> "Torch":
        options = {
            "device": self.device,
            "grad": self.requires_grad,
            "bfloat16": self.bfloat16,
            "sparse": self.is_sparse,
        }
        return Torch(self.values, **{**options, **changes})

    def detach(self) -> "Torch":
        """Return the values without a gradient."""
        return self._with(grad=False)

    def cpu(self) -> "Torch":
        """Return the values on the host."""
        return self._with(device="cpu")

    def float(self) -> "Torch":
        """Return the values as float32."""
        return Torch(self.values.astype(np.float32), device=self.device, grad=self.requires_grad)

    def to_dense(self) -> "Torch":
        """Return a dense tensor."""
        return self._with(sparse=False)

    def is_conj(self) -> bool:
        """Return that no conjugation is pending."""
        return False

    def item(self) -> Any:
        """Return the one value, from any device."""
        return self.values.item()

    def numpy(self) -> np.ndarray[Any, Any]:
        """Return the array, or refuse."""
        if self.requires_grad:
            raise RuntimeError("Can't call numpy() on Tensor that requires grad. Use tensor.detach().numpy() instead.")
        if self.device != "cpu":
            raise TypeError("can't convert cuda:0 device type tensor to numpy. Use Tensor.cpu()")
        if self.is_sparse:
            raise TypeError("can't convert Sparse layout tensor to numpy. Use Tensor.to_dense() first.")
        if self.bfloat16:
            raise TypeError("Got unsupported ScalarType BFloat16")
        return self.values

    def __array__(self, dtype: Any = None, copy: Any = None) -> np.ndarray[Any, Any]:
        return self.numpy()

    def __float__(self) -> Any:
        return float(self.values)

    def __len__(self) -> int:
        return len(self.values)

    def __getitem__(self, index: Any) -> "Torch":
        return Torch(self.values[index], device=self.device, grad=self.requires_grad)

    def __bool__(self) -> bool:
        return bool(self.values)


class Jax:
    """A jax.Array: it offers `__array__`."""

    def __init__(self, values: Any) -> None:
        self.values = np.asarray(values)

    def __array__(self, dtype: Any = None, copy: Any = None) -> np.ndarray[Any, Any]:
        return self.values


class DynamicJaxprTracer:
    """A value inside jax.jit: it offers `__array__`, which raises, and so does everything else."""

    def __array__(self, dtype: Any = None, copy: Any = None) -> np.ndarray[Any, Any]:
        raise TypeError("TracerArrayConversionError: The numpy.ndarray conversion method __array__() was called\nmore")

    def item(self) -> Any:
        """Raise as a tracer does."""
        raise TypeError("ConcretizationTypeError: Abstract tracer value encountered where concrete value is expected")

    def __bool__(self) -> bool:
        raise TypeError("TracerBoolConversionError")


class Cupy:
    """A cupy.ndarray: it refuses to be converted, and gives a copy on the host if asked."""

    __cuda_array_interface__: Mapping[str, Any] = {}

    def get(self) -> np.ndarray[Any, Any]:
        """Return a copy on the host."""
        return np.arange(3, dtype=np.float32)

    def __array__(self, dtype: Any = None, copy: Any = None) -> np.ndarray[Any, Any]:
        raise TypeError("Implicit conversion to a NumPy array is not allowed. Please use `.get()`")


class TensorDict:
    """A tensordict.TensorDict: keys and items, no Mapping; iterating it goes over its rows."""

    def __init__(self, **parts: Any) -> None:
        self._parts = parts

    def keys(self) -> Iterator[str]:
        """Return the keys."""
        return iter(self._parts)

    def __getitem__(self, key: str) -> Any:
        return self._parts[key]

    def __iter__(self) -> Iterator[Any]:
        raise RuntimeError("only a batch can be iterated")


class Dlpack:
    """An array that offers nothing but DLPack."""

    def __init__(self) -> None:
        self._array = np.arange(3, dtype=np.float32)

    def __dlpack__(self, **options: Any) -> Any:
        return self._array.__dlpack__(**options)

    def __dlpack_device__(self) -> Any:
        return self._array.__dlpack_device__()


@dataclasses.dataclass
class State:
    """An observation as a dataclass."""

    position: Any
    said: str


class Pair(NamedTuple):
    """An observation as a named tuple."""

    left: Any
    right: Any


class Move(enum.Enum):
    """An action as an enum."""

    LEFT = 3


class Turn(enum.IntEnum):
    """An action as an enum of numbers."""

    RIGHT = 4


THREE = np.arange(3, dtype=np.float32)


def kept(value: Any) -> tuple[str, Any]:
    """Return the dtype and the decoded value of what is kept of a value, twice in a row."""
    capture = Capture(as_is)
    first = capture.learn(value)
    raw = capture.pack(value)
    assert first == (capture.learn(value) if raw is None else raw)
    assert capture.flaw == ""
    return capture.layout.dtype, decode_value(capture.layout, first)


@pytest.mark.parametrize(
    "tensor",
    [
        Torch(THREE),
        Torch(THREE, device="cuda:0"),
        Torch(THREE, grad=True),
        Torch(THREE, device="cuda:0", grad=True),
        Torch(THREE, bfloat16=True),
        Torch(THREE, sparse=True),
        Torch(np.arange(6, dtype=np.float32)[::2] / 2),
        Jax(THREE),
        Cupy(),
        Dlpack(),
        memoryview(THREE),  # type: ignore[arg-type]  # numpy's stubs have no buffer
        array.array("f", THREE.tolist()),
        np.ma.masked_array(THREE),
        THREE[::-1][::-1],
    ],
    ids=lambda t: type(t).__name__,
)
def test_tensors_of_any_kind_are_arrays_at_any_depth(tensor: Any) -> None:
    """Alone, in a dict, in a tuple in a dict: always the numbers, of the dtype that they have."""
    dtype, found = kept(tensor)
    assert (dtype, found.tolist()) == ("<f4", [0, 1, 2])
    dtype, found = kept({"a": (tensor, {"b": tensor}), "said": "x"})
    assert dtype.startswith("struct:")
    assert found["a"][0].tolist() == found["a"][1]["b"].tolist() == [0, 1, 2]
    assert kept(TensorDict(a=tensor, b=TensorDict(c=tensor)))[1]["b"]["c"].tolist() == [0, 1, 2]


@pytest.mark.parametrize(
    ("value", "dtype", "expected"),
    [
        (State(THREE, "hi"), 'struct:["dict",[["position",["<f4",[3]]],["said",["text",[]]]]]', None),
        (State(1, "hi"), "json", {"position": 1, "said": "hi"}),
        (OrderedDict(a=1), "json", {"a": 1}),
        (Pair(THREE, 1), 'struct:["tuple",[["<f4",[3]],["<i8",[]]]]', None),
        (Move.LEFT, "<i8", 3),
        (Turn.RIGHT, "<i8", 4),
        (np.array([1.5, 2], object), "<f8", [1.5, 2.0]),
        (np.array(["a", "b"]), "json", ["a", "b"]),
        (np.array("a"), "text", "a"),
        (np.str_("a"), "text", "a"),
        ([THREE, THREE], 'struct:["tuple",[["<f4",[3]],["<f4",[3]]]]', None),
        ({"when": np.datetime64("2026-01-01"), "n": 1}, None, None),
        ({3, 1}, "<i8", [1, 3]),
        ({"x": {2}}, "json", {"x": [2]}),
    ],
    ids=lambda v: type(v).__name__,
)
def test_containers_and_enums_of_any_kind_are_read(value: Any, dtype: str | None, expected: Any) -> None:
    """Dataclasses are dicts, enums their values, arrays of objects lists, sets sorted lists."""
    capture = Capture(as_is)
    raw = capture.learn(value)
    if dtype is not None:
        assert (capture.layout.dtype, capture.flaw) == (dtype, "")
    if expected is not None:
        found = decode_value(capture.layout, raw)
        assert (found.tolist() if isinstance(found, np.ndarray) else found) == expected


def test_a_tracer_is_left_out_and_said_once(caplog: pytest.LogCaptureFixture) -> None:
    """Inside jax.jit there are no values: the steps stay, and one line says what to do."""
    bus = RunBus()
    subscription = bus.subscribe("test")
    recorder = Recorder("run-1", bus=bus, kafka=False)
    for _ in range(50):
        recorder.step(1, 1.0, False, False, {"x": DynamicJaxprTracer(), "said": "hi"})
    recorder.close()
    (batch,) = [e.batch() for e in subscription.get_many(100) if isinstance(e, StepsRecorded)]
    assert '["x",["omitted:json",[]]]' in batch.header.observation.dtype
    (line,) = [r.getMessage() for r in caplog.records]
    assert "record outside the traced function" in line
    assert "\n" not in line


def test_tensors_of_a_vector_call_are_columns() -> None:
    """Observations, actions, rewards (n, 1) and flags as tensors on a device, one block a call."""
    bus = RunBus()
    subscription = bus.subscribe("test")
    recorder = Recorder("run-1", bus=bus, kafka=False)
    ones = np.ones((4, 1), np.float32)
    for _ in range(3):
        flags = Torch(np.zeros(4, bool), device="cuda:0")
        shown = TensorDict(a=Torch(ones, device="cuda:0", grad=True), b=Jax(np.arange(4)))
        recorder.step_vector(Torch(ones, grad=True), Torch(ones, device="cuda:0"), flags, flags, shown)
    recorder.close()
    (event,) = [e for e in subscription.get_many(100) if isinstance(e, StepsRecorded)]
    assert len(event.blocks) == 3
    assert event.batch().columns.reward.tolist() == [1.0] * 12
    assert recorder.stats()["complaints"] == {}


@pytest.mark.parametrize("reward", [Torch(1.5), Torch([1.5], device="cuda:0", grad=True), Torch(1.5, bfloat16=True)])
def test_a_tensor_is_a_reward(reward: Any) -> None:
    """Whatever the device and the dtype, one element is a number."""
    assert number(reward) == 1.5
