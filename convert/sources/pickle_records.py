"""What a pickle of tensors may name, and the plain record that each such name makes when it is called.

Two kinds of names: those that tensors are made of, and those of harmless values that training programs save
beside them (types, sizes, numbers of numpy, settings). A call of the second kind makes an `Inert`, which
holds nothing. Any other name is refused; nothing here can run what a file says.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

_MAX_AXES = 8
_MAX_NUMBER = 1 << 48
_MAX_SHOWN_NAME = 100

_STORAGE_TYPES: Mapping[str, str] = {
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
    "torch ComplexFloatStorage": "complex64",
    "torch ComplexDoubleStorage": "complex128",
    "torch QInt8Storage": "qint8",
    "torch QUInt8Storage": "quint8",
    "torch QInt32Storage": "qint32",
    # Bytes; each tensor in it has a type of its own.
    "torch.storage UntypedStorage": "u8",
    "torch UntypedStorage": "u8",
}
_DTYPES: Mapping[str, str] = {
    "torch float64": "f64",
    "torch float32": "f32",
    "torch float16": "f16",
    "torch bfloat16": "bf16",
    "torch int64": "i64",
    "torch int32": "i32",
    "torch int16": "i16",
    "torch int8": "i8",
    "torch uint64": "u64",
    "torch uint32": "u32",
    "torch uint16": "u16",
    "torch uint8": "u8",
    "torch bool": "bool",
    "torch float8_e4m3fn": "f8_e4m3",
    "torch float8_e5m2": "f8_e5m2",
    "torch float8_e8m0fnu": "f8_e8m0",
    # Types that have no reader, under torch's own names.
    **{
        f"torch {name}": name
        for name in (
            "complex32",
            "complex64",
            "complex128",
            "qint8",
            "quint8",
            "qint32",
            "quint4x2",
            "quint2x4",
        )
    },
    **{f"torch {name}": name for name in ("float8_e4m3fnuz", "float8_e5m2fnuz", "float4_e2m1fn_x2")},
}

_REBUILD_TENSOR = ("torch._utils _rebuild_tensor", "torch._utils _rebuild_tensor_v2")
_REBUILD_TYPED_TENSOR = "torch._utils _rebuild_tensor_v3"
_REBUILD_SUBCLASS = "torch._tensor _rebuild_from_type_v2"
_REBUILD_PARAMETER = (
    "torch._utils _rebuild_parameter",
    "torch._utils _rebuild_parameter_with_state",
    "torch.nn.parameter Parameter",
)
_UNREADABLE_TENSORS: Mapping[str, str] = {
    "torch._utils _rebuild_qtensor": "quantized",
    "torch._utils _rebuild_sparse_tensor": "sparse",
    "torch._utils _rebuild_nested_tensor": "nested",
    "torch._utils _rebuild_meta_tensor_no_storage": "meta (no values)",
}
_TENSOR_CLASSES = ("torch Tensor", "torch.nn.parameter Parameter", "torch.nn.parameter Buffer")
_ORDERED_DICT = "collections OrderedDict"
# Their items follow as operations.
_DICTIONARIES = (
    "collections defaultdict",
    "lightning.fabric.utilities.data AttributeDict",
    "lightning_fabric.utilities.data AttributeDict",
    "pytorch_lightning.utilities.parsing AttributeDict",
)

_INERT: Mapping[str, str] = {
    "torch": "Size Tensor device per_tensor_affine per_channel_affine",
    "torch.nn.parameter": "Buffer",
    "torch.serialization": "_get_layout",
    "torch.torch_version": "TorchVersion",
    "numpy": "dtype ndarray",
    "numpy.core.multiarray": "scalar _reconstruct",
    "numpy._core.multiarray": "scalar _reconstruct",
    "numpy.core.numeric": "_frombuffer",
    "numpy._core.numeric": "_frombuffer",
    "builtins": "set frozenset bytearray bytes complex object slice range int float str bool list dict tuple",
    "__builtin__": "set frozenset bytearray bytes complex object slice xrange int float str bool list dict",
    "_codecs": "encode",
    "argparse": "Namespace",
    "collections": "Counter deque",
    "copyreg": "_reconstructor",
    "copy_reg": "_reconstructor",
    "datetime": "date datetime timedelta timezone",
    "pathlib": "Path PosixPath WindowsPath PurePath PurePosixPath PureWindowsPath",
    "pathlib._local": "Path PosixPath WindowsPath PurePath PurePosixPath PureWindowsPath",
    "typing": "Any",
    "deepspeed.runtime.fp16.loss_scaler": "LossScaler DynamicLossScaler",
    "deepspeed.runtime.zero.config": "ZeroStageEnum",
    "omegaconf.base": "ContainerMetadata Metadata",
    "omegaconf.dictconfig": "DictConfig",
    "omegaconf.listconfig": "ListConfig",
    "omegaconf.nodes": "AnyNode BooleanNode EnumNode FloatNode IntegerNode StringNode",
    "transformers.generation.configuration_utils": "GenerationConfig",
    "transformers.models.bloom.configuration_bloom": "BloomConfig",
    "transformers.models.llama.configuration_llama": "LlamaConfig",
}
"""Module, and the names in it. Values only: a class with code of its own that a model is made of is none."""

_INERT_NAMES = frozenset(f"{module} {name}" for module, names in _INERT.items() for name in names.split())
ALLOWED_NAMES = frozenset(
    {
        *(*_STORAGE_TYPES, *_DTYPES, *_REBUILD_TENSOR, _REBUILD_TYPED_TENSOR, _REBUILD_SUBCLASS),
        *(*_REBUILD_PARAMETER, *_UNREADABLE_TENSORS, _ORDERED_DICT, *_DICTIONARIES, *_INERT_NAMES),
    }
)


class ForbiddenName(ValueError):
    """The pickle names something that is neither of tensors nor known to be harmless."""


@dataclass(frozen=True)
class GlobalName:
    """An allowed name, as `module name`."""

    name: str


@dataclass(frozen=True)
class Inert:
    """The place of a harmless value that no tensor needs: a number of numpy, a torch.dtype, settings."""


@dataclass(frozen=True)
class StorageRecord:
    """One raw storage: its key in the file, `n_elements` of `dtype`. start: of a part of it, in elements."""

    dtype: str
    key: str
    n_elements: int
    is_typed: bool = True
    start: int = 0


@dataclass(frozen=True)
class TensorRecord:
    """A view into a storage; `offset` and `strides` in elements of `dtype`."""

    storage: StorageRecord
    dtype: str
    offset: int
    shape: tuple[int, ...]
    strides: tuple[int, ...]


@dataclass(frozen=True)
class UnreadableTensor:
    """A tensor that is no view into a storage; kind: for people."""

    kind: str


def storage_record(parts: tuple[Any, ...]) -> StorageRecord:
    """What a persistent id means: ('storage', type, key, place, elements), in old files with a view as well.

    A view is (its key, first element, elements). Raises `ForbiddenName` for a class of modules, which whole
    models are saved with, and `ValueError`.
    """
    if parts[0] == "module":
        raise ForbiddenName("a class of modules")
    kind, storage_type, key, _place, n_elements, *views = parts
    if kind != "storage" or not isinstance(storage_type, GlobalName):
        raise ValueError("a persistent id that is no storage")
    name = storage_type.name
    dtype = _STORAGE_TYPES[name]
    view = views[0] if views else None
    start = 0 if view is None else view[1]
    for number in (n_elements, start):
        if type(number) is not int or not 0 <= number < _MAX_NUMBER:
            raise ValueError("a storage with an impossible size")
    if not isinstance(key, str) or len(views) > 1:
        raise ValueError("a storage with an impossible key")
    return StorageRecord(dtype, key, n_elements, not name.endswith("UntypedStorage"), start)


def call(function: str, arguments: tuple[Any, ...]) -> Any:
    """What the allowed name `function` makes of `arguments`; raises `ForbiddenName` and `ValueError`."""
    if function == _ORDERED_DICT and arguments:
        # Copies of a large list could be asked for without end.
        raise ValueError("an OrderedDict that is made from another value")
    if function in (_ORDERED_DICT, *_DICTIONARIES):
        return {}
    if function in _REBUILD_PARAMETER:
        return arguments[0]
    if function in _REBUILD_TENSOR:
        return _tensor(arguments, None)
    if function == _REBUILD_TYPED_TENSOR:
        return _tensor(arguments, arguments[6])
    if function == _REBUILD_SUBCLASS:
        inner, kind, inner_arguments = arguments[:3]
        if not isinstance(kind, GlobalName) or kind.name not in _TENSOR_CLASSES:
            raise ForbiddenName("a class of tensors")
        # Once: what it wraps in turn would have to be a subclass as well.
        if not isinstance(inner, GlobalName) or inner.name == _REBUILD_SUBCLASS:
            raise ValueError("a tensor that is made by nothing known")
        return call(inner.name, inner_arguments)
    if function in _UNREADABLE_TENSORS:
        return UnreadableTensor(_UNREADABLE_TENSORS[function])
    if function in _INERT_NAMES:
        return Inert()
    raise ForbiddenName(f"a call of {readable(function)}")


def new_object(kind: GlobalName) -> Any:
    """An instance of an allowed class without arguments of interest; raises `ForbiddenName`."""
    if kind.name in _DICTIONARIES:
        return {}
    if kind.name in _INERT_NAMES:
        return Inert()
    raise ForbiddenName(f"an instance of {readable(kind.name)}")


def _tensor(arguments: tuple[Any, ...], typed: Any) -> TensorRecord:
    storage, offset, shape, strides = arguments[:4]
    if not isinstance(storage, StorageRecord):
        raise ValueError("a tensor without a storage")
    if len(shape) != len(strides) or len(shape) > _MAX_AXES:
        raise ValueError(f"a tensor of {len(shape)} axes with {len(strides)} strides")
    numbers = (offset, *shape, *strides)
    if any(type(number) is not int or not 0 <= number < _MAX_NUMBER for number in numbers):
        raise ValueError("a tensor with an impossible shape")
    dtype = storage.dtype
    if typed is not None:
        if not isinstance(typed, GlobalName):
            raise ValueError("a tensor of no type")
        dtype = _DTYPES[typed.name]
    return TensorRecord(storage, dtype, offset, tuple(shape), tuple(strides))


def readable(name: str) -> str:
    """A name out of the file as a message can show it: one short line, without control characters."""
    shown = name.replace(" ", ".", 1)[:_MAX_SHOWN_NAME]
    return "".join(character if character.isprintable() else "?" for character in shown)
