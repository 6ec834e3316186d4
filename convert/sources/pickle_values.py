"""A pickle interpreter that can build tensors and nothing else.

A pickle is a program. This one is not run by Python's unpickler: its opcodes are read with `pickletools` and
interpreted here, where the only callables are the names of `convert.sources.pickle_records`, and calling them
creates plain records. Any other name is refused before anything happens.
"""

from __future__ import annotations

import pickletools
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from convert.errors import DamagedFile, Detail, ForbiddenPickle, InvalidFile
from convert.sources.pickle_records import (
    ALLOWED_NAMES,
    ForbiddenName,
    GlobalName,
    Inert,
    StorageRecord,
    call,
    new_object,
    readable,
    storage_record,
)

MAX_PICKLE_BYTES = 16 << 20
# 7B checkpoints need about 20,000; the bound keeps a hostile file under a second.
_MAX_OPERATIONS = 400_000

_CONSTANTS = {"NONE": None, "NEWTRUE": True, "NEWFALSE": False}
_LITERALS = frozenset(
    {"BININT", "BININT1", "BININT2", "INT", "LONG", "LONG1", "LONG4", "BINFLOAT", "FLOAT"}
    | {"BINUNICODE", "SHORT_BINUNICODE", "BINUNICODE8", "UNICODE"}
    | {"BINSTRING", "SHORT_BINSTRING", "BINBYTES", "SHORT_BINBYTES", "BINBYTES8", "BYTEARRAY8"}
)
_TUPLE_SIZES = {"EMPTY_TUPLE": 0, "TUPLE1": 1, "TUPLE2": 2, "TUPLE3": 3}


@dataclass(frozen=True)
class Pickled:
    """What a pickle holds; storages: all that it names by their keys, also those that no tensor needs."""

    value: Any
    storages: Mapping[str, StorageRecord]


class _Mark:
    pass


class _TooLong(ValueError):
    pass


class _Interpreter:
    """The machine's stack and memo; one instance a pickle."""

    def __init__(self) -> None:
        self._stack: list[Any] = []
        self._memo: dict[int, Any] = {}
        self.storages: dict[str, StorageRecord] = {}

    def run(self, data: IO[bytes]) -> Any:
        for n_operations, (opcode, argument, _) in enumerate(pickletools.genops(data)):
            if n_operations > _MAX_OPERATIONS:
                raise _TooLong
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

    def inert(self, _: Any) -> None:
        self._stack.append(Inert())

    def inert_items(self, _: Any) -> None:
        """The items of a set."""
        self._pop_to_mark()
        if not isinstance(self._stack[-1], Inert):
            raise ValueError("items for something that is no set")

    def frozen_set(self, _: Any) -> None:
        self._pop_to_mark()
        self._stack.append(Inert())

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
        if isinstance(self._stack[-1], Inert):
            return {}  # the items of a harmless value are as little needed as itself
        if not isinstance(self._stack[-1], dict):
            raise ValueError("items for something that is no dictionary")
        return self._stack[-1]

    def _list(self) -> list[Any]:
        if isinstance(self._stack[-1], Inert):
            return []
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
        if name not in ALLOWED_NAMES:
            raise ForbiddenName(readable(name))
        self._stack.append(GlobalName(name))

    def stack_global(self, _: Any) -> None:
        name, module = self._pop(), self._pop()
        if not isinstance(name, str) or not isinstance(module, str):
            raise ValueError("a global name that is no text")
        self.global_(f"{module} {name}")

    def persistent_id(self, _: Any) -> None:
        record = storage_record(self._pop())
        # The first says how the file holds it; what follows may be another view of the same bytes.
        self.storages.setdefault(record.key, record)
        self._stack.append(record)

    def reduce(self, _: Any) -> None:
        arguments, function = self._pop(), self._pop()
        if not isinstance(function, GlobalName) or not isinstance(arguments, tuple):
            raise ForbiddenName("a call of something that is no allowed name")
        self._stack.append(call(function.name, arguments))

    def new_object(self, _: Any) -> None:
        arguments, kind = self._pop(), self._pop()
        if not isinstance(kind, GlobalName) or not isinstance(arguments, tuple):
            raise ForbiddenName("an instance of something that is no allowed name")
        self._stack.append(new_object(kind))

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
    "NEWOBJ": _Interpreter.new_object,
    "EMPTY_SET": _Interpreter.inert,
    "ADDITEMS": _Interpreter.inert_items,
    "FROZENSET": _Interpreter.frozen_set,
    "BUILD": _Interpreter.build,
}


def _checked_key(key: Any) -> Any:
    # The hash of nested tuples takes time without end, or the stack.
    if key is not None and not isinstance(key, str | int | float | Inert | GlobalName):
        raise ValueError("a dictionary key that is no text and no number")
    return key


def read_pickle(path: Path, data: IO[bytes]) -> Pickled:
    """The value a `torch.save` pickle describes, which starts where `data` stands; it stands at its end then.

    Values are dictionaries, lists, tuples, literals, and the records of `convert.sources.pickle_records`;
    `path` names the file in errors. Raises `ForbiddenPickle` for a name that is not known to be harmless
    (nothing was executed), `InvalidFile` for a pickle too long to be a model's, `DamagedFile` for a broken
    one.
    """
    interpreter = _Interpreter()
    try:
        return Pickled(interpreter.run(data), interpreter.storages)
    except ForbiddenName as error:
        raise ForbiddenPickle(path, str(error)) from error
    except _TooLong as error:
        raise InvalidFile(path, Detail("pickle_operations", {"n": _MAX_OPERATIONS})) from error
    # What a malformed program can do to a stack machine: miss values, keys, or hand over wrong types.
    except (ValueError, IndexError, KeyError, TypeError, OverflowError, RecursionError) as error:
        raise DamagedFile(path, Detail("pickle_broken")) from error
