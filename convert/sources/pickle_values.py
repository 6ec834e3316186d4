"""A pickle interpreter that can build tensors and nothing else.

A pickle is a program. This one is not run by Python's unpickler: its opcodes are read with `pickletools` and
interpreted here, where the only callables are the few names a `torch.save` of tensors needs, and calling them
creates plain records. Any other name is refused before anything happens.
"""

from __future__ import annotations

import pickletools
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from convert.errors import DamagedFile, ForbiddenPickle

MAX_PICKLE_BYTES = 16 << 20
# 7B checkpoints need about 20,000; the bound keeps a hostile file under a second.
_MAX_OPERATIONS = 400_000
_MAX_AXES = 8
_MAX_SHOWN_NAME = 100

STORAGE_TYPES: Mapping[str, str] = {
    "torch DoubleStorage": "f64",
    "torch FloatStorage": "f32",
    "torch HalfStorage": "f16",
    "torch BFloat16Storage": "bf16",
    "torch LongStorage": "i64",
    "torch IntStorage": "i32",
    "torch ShortStorage": "i16",
    "torch CharStorage": "i8",
    "torch ByteStorage": "u8",
    "torch BoolStorage": "bool",
}
_ORDERED_DICT = "collections OrderedDict"
_REBUILD_TENSOR = "torch._utils _rebuild_tensor_v2"
_PARAMETERS = ("torch._utils _rebuild_parameter", "torch.nn.parameter Parameter")
_ALLOWED_NAMES = frozenset({*STORAGE_TYPES, _ORDERED_DICT, _REBUILD_TENSOR, *_PARAMETERS})

_CONSTANTS = {"NONE": None, "NEWTRUE": True, "NEWFALSE": False}
_LITERALS = frozenset(
    {"BININT", "BININT1", "BININT2", "INT", "LONG", "LONG1", "LONG4", "BINFLOAT", "FLOAT"}
    | {"BINUNICODE", "SHORT_BINUNICODE", "BINUNICODE8", "UNICODE"}
    | {"BINSTRING", "SHORT_BINSTRING", "BINBYTES", "SHORT_BINBYTES"}
)
_TUPLE_SIZES = {"EMPTY_TUPLE": 0, "TUPLE1": 1, "TUPLE2": 2, "TUPLE3": 3}


@dataclass(frozen=True)
class GlobalName:
    """An allowed name, as `module name`."""

    name: str


@dataclass(frozen=True)
class StorageRecord:
    """One raw storage: the ZIP member `data/<key>`, `n_elements` of `dtype`."""

    dtype: str
    key: str
    n_elements: int


@dataclass(frozen=True)
class TensorRecord:
    """A view into a storage; `offset` and `strides` in elements."""

    storage: StorageRecord
    offset: int
    shape: tuple[int, ...]
    strides: tuple[int, ...]


class _Mark:
    pass


class _Interpreter:
    """The machine's stack and memo; one instance a pickle."""

    def __init__(self) -> None:
        self._stack: list[Any] = []
        self._memo: dict[int, Any] = {}

    def run(self, data: bytes) -> Any:
        for n_operations, (opcode, argument, _) in enumerate(pickletools.genops(data)):
            if n_operations > _MAX_OPERATIONS:
                raise ValueError(f"more than {_MAX_OPERATIONS} pickle operations")
            if opcode.name == "STOP":
                return self._stack.pop()
            self._step(opcode.name, argument)
        raise ValueError("the pickle has no end")

    def _step(self, name: str, argument: Any) -> None:
        if name in _LITERALS:
            self._stack.append(argument)
        elif name in _CONSTANTS:
            self._stack.append(_CONSTANTS[name])
        elif name in _TUPLE_SIZES:
            self._push_tuple(_TUPLE_SIZES[name])
        elif name in ("PROTO", "FRAME"):
            pass
        else:
            handler = _HANDLERS.get(name)
            if handler is None:
                raise ForbiddenName(f"pickle operation {name}")
            handler(self, argument)

    def _push_tuple(self, size: int) -> None:
        items = tuple(self._pop() for _ in range(size))
        self._stack.append(items[::-1])

    def _pop(self) -> Any:
        value = self._stack.pop()
        if isinstance(value, _Mark):
            raise ValueError("a mark where a value should be")
        return value

    def _pop_to_mark(self) -> list[Any]:
        items: list[Any] = []
        while not isinstance(self._stack[-1], _Mark):
            items.append(self._stack.pop())
        self._stack.pop()
        return items[::-1]

    def mark(self, _: Any) -> None:
        self._stack.append(_Mark())

    def tuple_(self, _: Any) -> None:
        self._stack.append(tuple(self._pop_to_mark()))

    def empty_dict(self, _: Any) -> None:
        self._stack.append({})

    def empty_list(self, _: Any) -> None:
        self._stack.append([])

    def set_item(self, _: Any) -> None:
        value, key = self._pop(), self._pop()
        self._dict()[_checked_key(key)] = value

    def set_items(self, _: Any) -> None:
        items = self._pop_to_mark()
        self._dict().update(zip(map(_checked_key, items[::2]), items[1::2], strict=True))

    def append(self, _: Any) -> None:
        value = self._pop()
        self._list().append(value)

    def appends(self, _: Any) -> None:
        items = self._pop_to_mark()
        self._list().extend(items)

    def _dict(self) -> dict[Any, Any]:
        if not isinstance(self._stack[-1], dict):
            raise ValueError("items for something that is no dictionary")
        return self._stack[-1]

    def _list(self) -> list[Any]:
        if not isinstance(self._stack[-1], list):
            raise ValueError("items for something that is no list")
        return self._stack[-1]

    def put(self, index: int) -> None:
        self._memo[index] = self._stack[-1]

    def memoize(self, _: Any) -> None:
        self._memo[len(self._memo)] = self._stack[-1]

    def get(self, index: int) -> None:
        self._stack.append(self._memo[index])

    def global_(self, name: str) -> None:
        if name not in _ALLOWED_NAMES:
            raise ForbiddenName(_readable(name))
        self._stack.append(GlobalName(name))

    def stack_global(self, _: Any) -> None:
        name, module = self._pop(), self._pop()
        if not isinstance(name, str) or not isinstance(module, str):
            raise ValueError("a global name that is no text")
        self.global_(f"{module} {name}")

    def persistent_id(self, _: Any) -> None:
        kind, storage_type, key, _location, n_elements = self._pop()
        if kind != "storage" or not isinstance(storage_type, GlobalName):
            raise ValueError("a persistent id that is no storage")
        dtype = STORAGE_TYPES[storage_type.name]
        if not isinstance(key, str) or type(n_elements) is not int or n_elements < 0:
            raise ValueError("a storage with an impossible key or size")
        self._stack.append(StorageRecord(dtype, key, n_elements))

    def reduce(self, _: Any) -> None:
        arguments, function = self._pop(), self._pop()
        if not isinstance(function, GlobalName) or not isinstance(arguments, tuple):
            raise ForbiddenName("a call of something that is no allowed name")
        self._stack.append(_call(function.name, arguments))

    def build(self, _: Any) -> None:
        # Attributes such as a state dict's `_metadata`: nothing here needs them.
        self._pop()


_HANDLERS: Mapping[str, Callable[[_Interpreter, Any], None]] = {
    "MARK": _Interpreter.mark,
    "TUPLE": _Interpreter.tuple_,
    "EMPTY_DICT": _Interpreter.empty_dict,
    "EMPTY_LIST": _Interpreter.empty_list,
    "SETITEM": _Interpreter.set_item,
    "SETITEMS": _Interpreter.set_items,
    "APPEND": _Interpreter.append,
    "APPENDS": _Interpreter.appends,
    "BINPUT": _Interpreter.put,
    "LONG_BINPUT": _Interpreter.put,
    "MEMOIZE": _Interpreter.memoize,
    "BINGET": _Interpreter.get,
    "LONG_BINGET": _Interpreter.get,
    "GLOBAL": _Interpreter.global_,
    "STACK_GLOBAL": _Interpreter.stack_global,
    "BINPERSID": _Interpreter.persistent_id,
    "REDUCE": _Interpreter.reduce,
    "BUILD": _Interpreter.build,
}


class ForbiddenName(ValueError):
    """The pickle names something that tensors do not need."""


def _call(function: str, arguments: tuple[Any, ...]) -> Any:
    if function == _ORDERED_DICT:
        # Its items follow as operations. Copies of a large list could be asked for without end.
        if arguments:
            raise ValueError("an OrderedDict that is made from another value")
        return {}
    if function in _PARAMETERS:
        return arguments[0]
    if function == _REBUILD_TENSOR:
        storage, offset, shape, strides = arguments[:4]
        if not isinstance(storage, StorageRecord):
            raise ValueError("a tensor without a storage")
        if len(shape) != len(strides) or len(shape) > _MAX_AXES:
            raise ValueError(f"a tensor of {len(shape)} axes with {len(strides)} strides")
        numbers = (offset, *shape, *strides)
        if any(type(number) is not int or not 0 <= number < 1 << 48 for number in numbers):
            raise ValueError("a tensor with an impossible shape")
        return TensorRecord(storage, offset, tuple(shape), tuple(strides))
    raise ForbiddenName(f"a call of {_readable(function)}")


def _checked_key(key: Any) -> Any:
    # The hash of nested tuples takes time without end, or the stack.
    if key is not None and not isinstance(key, str | int | float):
        raise ValueError("a dictionary key that is no text and no number")
    return key


def _readable(name: str) -> str:
    """A name out of the file as a message can show it: one short line, without control characters."""
    shown = name.replace(" ", ".", 1)[:_MAX_SHOWN_NAME]
    return "".join(character if character.isprintable() else "?" for character in shown)


def read_pickle(path: Path, data: bytes) -> Any:
    """The value a `torch.save` pickle describes: dictionaries, lists, tuples, literals and `TensorRecord`.

    `path` names the file in errors. Raises `ForbiddenPickle` for a name that tensors do not need (nothing was
    executed), `DamagedFile` for a broken pickle.
    """
    if len(data) > MAX_PICKLE_BYTES:
        raise DamagedFile(path, f"a pickle of {len(data)} bytes")
    try:
        return _Interpreter().run(data)
    except ForbiddenName as error:
        raise ForbiddenPickle(path, str(error)) from error
    # What a malformed program can do to a stack machine: miss values, keys, or hand over wrong types.
    except (ValueError, IndexError, KeyError, TypeError, OverflowError, RecursionError) as error:
        raise DamagedFile(path, f"data.pkl ({error})") from error
