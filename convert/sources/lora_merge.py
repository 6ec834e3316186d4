"""Adapters put on a base model: its tensors, those that an adapter changes replaced, and its new settings.

Knows base models by the names of their tensors only. What PEFT computes with the adapter loaded is what was
trained, and what is made here. PEFT's own merging (`merge_and_unload`) differs where input and output
embedding are one matrix and the adapter is for one of them: it changes both. Here they become two.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from math import prod
from typing import Any, TypeVar

from convert.arch.base import MappedTensor
from convert.errors import (
    AdapterMismatch,
    AdapterRowsMissing,
    AdapterTargetMissing,
    InvalidFile,
    UnsupportedAdapter,
)
from convert.notes import Note
from convert.sources.lora import LoraAdapter
from convert.sources.lora_parts import Pair
from convert.sources.lora_settings import INPUT_EMBEDDING
from convert.sources.lora_tensors import (
    BiasTensor,
    ChangedTensor,
    LoraTensor,
    MagnitudeTensor,
    SavedTensor,
    TokenRowsTensor,
    is_all_zero,
    is_same,
)
from convert.sources.tensors import StoredTensor, Tensor

_INPUTS = ("embed_tokens.weight", "word_embeddings.weight")
_OUTPUT = "lm_head.weight"
_N_NAMES_SHOWN = 6

_Part = TypeVar("_Part")


@dataclass(frozen=True)
class Base:
    """A model's config.json and tensors by transformers' names. is_tied: the output is the input embedding.

    n_tokens: rows of the input embedding.
    """

    config: Mapping[str, Any]
    tensors: Mapping[str, Tensor]
    is_tied: bool

    @property
    def n_tokens(self) -> int:
        name = find_input(self.tensors)
        return self.tensors[name].shape[0] if name is not None else 0


def merge_adapters(base: Base, adapters: Sequence[LoraAdapter]) -> tuple[Base, tuple[Note, ...]]:
    """The base with all adapters on it, in order, and what they change.

    Nothing is read but what tells whether two embeddings are the same.

    Raises `AdapterTargetMissing`, `AdapterMismatch`, `AdapterRowsMissing`, `UnsupportedAdapter` or
    `InvalidFile`.
    """
    notes: list[Note] = []
    for adapter in adapters:
        after = _Merge(adapter, base).run()
        notes += _notes(adapter, base, after)
        base = after
    return base, tuple(notes)


def check_merged(
    tensors: Mapping[str, Tensor], mapped: Sequence[MappedTensor], adapters: Sequence[LoraAdapter]
) -> None:
    """What an adapter changed is in the model, and not left out as a buffer would be.

    Raises `UnsupportedAdapter`.
    """
    used = {tensor.source.name for tensor in mapped}
    for tensor in tensors.values():
        if isinstance(tensor, ChangedTensor | SavedTensor) and tensor.name not in used:
            raise UnsupportedAdapter(adapters[-1].path, "tensor", tensor.name)


def find_input(tensors: Mapping[str, Tensor]) -> str | None:
    """The name of the input embedding."""
    return next((name for name in tensors if name.endswith(_INPUTS)), None)


class _Merge:
    """One adapter on its way into a base."""

    def __init__(self, adapter: LoraAdapter, base: Base) -> None:
        self._adapter = adapter
        self._base = base
        self._parts = adapter.parts
        self._tensors = dict(base.tensors)
        self._is_tied = base.is_tied
        self._input = find_input(base.tensors) or _INPUTS[0]
        if base.is_tied:
            self._tensors.pop(_OUTPUT, None)  # a copy that nothing reads

    def run(self) -> Base:
        """The base with the adapter on it."""
        adapter, parts = self._adapter, self._parts
        if adapter.scale != 1.0 and (parts.whole or parts.rows or adapter.settings.has_magnitudes):
            raise UnsupportedAdapter(adapter.path, "scale", f"{adapter.scale:g}")
        for name, copy in self._by_target(parts.copies).items():
            self._replace(name, copy)
        pairs = {f"{module}.weight": pair for module, pair in parts.pairs.items()}
        rows = {f"{module}.weight": trained for module, trained in parts.rows.items()}
        if self._is_tied and self._parts_embeddings(self._find_all(pairs), self._find_all(rows)):
            self._tensors[_OUTPUT] = self._tensors[self._input]
            self._is_tied = False
        for name, saved in self._by_target(parts.whole).items():
            self._replace(name, saved)
        for name, trained in self._by_target(rows).items():
            self._set_rows(name, trained)
        for name, pair in self._by_target(pairs).items():
            self._add(name, pair)
        return Base(self._config(), self._tensors, self._is_tied)

    def _parts_embeddings(self, pairs: Collection[str], rows: Collection[str]) -> bool:
        """Whether the adapter makes two embeddings of a tied one."""
        if self._adapter.settings.keeps_tied:
            return False
        whole = self._find_all(self._parts.whole)
        if {self._input, _OUTPUT} & set(pairs) or _OUTPUT in rows:
            return True
        if _OUTPUT not in whole:
            # What was resized is in the file without having been trained whole.
            return self._input in whole and self._is_listed(self._input)
        return self._input not in whole or not is_same(whole[self._input], whole[_OUTPUT])

    def _is_listed(self, name: str) -> bool:
        module = name.removesuffix(".weight")
        return any(module.endswith(end) for end in self._adapter.settings.saved_modules)

    def _find_all(self, parts: Mapping[str, _Part]) -> dict[str, _Part]:
        found = {self._find(name): part for name, part in parts.items()}
        if len(found) != len(parts):
            raise InvalidFile(self._adapter.path, "the same module under two names")
        return found

    def _by_target(self, parts: Mapping[str, _Part]) -> dict[str, _Part]:
        """The parts by the base's names; those for the output of a tied embedding are for the input."""
        found = self._find_all(parts)
        if self._is_tied and _OUTPUT in found:
            output = found.pop(_OUTPUT)
            found.setdefault(self._input, output)
        return found

    def _find(self, name: str) -> str:
        """The base's name for a tensor: with or without the prefix of its family."""
        bare = name.removeprefix("model.").removeprefix("transformer.")
        if bare == _OUTPUT and self._is_tied:
            return _OUTPUT
        known = (name, bare, f"model.{bare}", f"transformer.{bare}")
        # What is not there may be a bias of nothing but zeros; see `_replace`.
        return next((candidate for candidate in known if candidate in self._tensors), name)

    def _replace(self, name: str, saved: StoredTensor) -> None:
        old = self._tensors.get(name)
        if old is None:
            if name.endswith(".bias") and is_all_zero(saved):
                return
            raise AdapterTargetMissing(self._adapter.path, name, self._adapter.settings.base)
        is_resizable = name in (self._input, _OUTPUT)
        if saved.shape != old.shape and not (is_resizable and saved.shape[1:] == old.shape[1:]):
            raise AdapterMismatch(self._adapter.path, name, str(old.shape), str(saved.shape))
        self._tensors[name] = SavedTensor(name, saved)

    def _set_rows(self, name: str, trained: StoredTensor) -> None:
        settings, old = self._adapter.settings, self._target(name)
        module = name.removesuffix(".weight")
        tokens = next(
            (found for end, found in settings.token_rows.items() if end and module.endswith(end)), None
        )
        if tokens is None and name == self._input:
            tokens = settings.token_rows.get(INPUT_EMBEDDING)
        if tokens is None or name not in (self._input, _OUTPUT):
            raise InvalidFile(settings.path, f"trainable_token_indices has none for {module!r}")
        if trained.shape != (len(tokens), *old.shape[1:]) or max(tokens) >= old.shape[0]:
            expected = f"{len(tokens)} rows for tokens below {old.shape[0]}"
            raise AdapterMismatch(self._adapter.path, trained.name, expected, str(trained.shape))
        self._tensors[name] = TokenRowsTensor(base=old, trained=trained, tokens=tokens)

    def _add(self, name: str, pair: Pair) -> None:
        path, settings, module = self._adapter.path, self._adapter.settings, name.removesuffix(".weight")
        a, b, old = pair.a, pair.b, self._target(name)
        rank = settings.rank_of(pair.module)
        if len(a.shape) != 2 or len(b.shape) != 2 or not a.shape[0] == b.shape[1] == rank:
            raise AdapterMismatch(path, module, f"r = {rank}", f"A {a.shape}, B {b.shape}")
        # An embedding's rows are its tokens, which A counts.
        change = (a.shape[1], b.shape[0]) if pair.is_embedding else (b.shape[0], a.shape[1])
        if old.shape != change:
            if name in (self._input, _OUTPUT) and old.shape[1:] == change[1:]:
                raise AdapterRowsMissing(path, name, change[0])
            raise AdapterMismatch(path, name, str(old.shape), str(change))
        factor = self._adapter.scale * settings.factor_of(pair.module)
        new: Tensor = LoraTensor(base=old, a=a, b=b, factor=factor, is_transposed=pair.is_embedding)
        if pair.magnitude is not None:
            n_outputs = change[1] if pair.is_embedding else change[0]
            if prod(pair.magnitude.shape) != n_outputs:
                raise AdapterMismatch(path, pair.magnitude.name, f"({n_outputs},)", str(pair.magnitude.shape))
            new = MagnitudeTensor(base=new, magnitude=pair.magnitude, is_transposed=pair.is_embedding)
        self._tensors[name] = new
        if pair.bias is not None:
            self._add_bias(f"{module}.bias", pair.bias, factor)

    def _add_bias(self, name: str, bias: StoredTensor, factor: float) -> None:
        old = self._tensors.get(name)
        if old is None and is_all_zero(bias):
            return
        old = self._target(name)
        if bias.shape != old.shape:
            raise AdapterMismatch(self._adapter.path, bias.name, str(old.shape), str(bias.shape))
        self._tensors[name] = BiasTensor(base=old, bias=bias, factor=factor)

    def _target(self, name: str) -> Tensor:
        if name not in self._tensors:
            raise AdapterTargetMissing(self._adapter.path, name, self._adapter.settings.base)
        return self._tensors[name]

    def _config(self) -> Mapping[str, Any]:
        """config.json as it is for the new tensors; raises `AdapterRowsMissing`."""
        config = dict(self._base.config)
        if self._base.is_tied and not self._is_tied:
            config["tie_word_embeddings"] = False
        first, second = self._tensors.get(self._input), self._tensors.get(_OUTPUT)
        if first is None:
            return config
        if second is not None and second.shape != first.shape:
            is_first_new = first.shape[0] != self._base.n_tokens
            missing, new = (_OUTPUT, first) if is_first_new else (self._input, second)
            raise AdapterRowsMissing(self._adapter.path, missing, new.shape[0])
        if first.shape[0] != self._base.n_tokens:
            config["vocab_size"] = first.shape[0]
        return config


def _notes(adapter: LoraAdapter, before: Base, after: Base) -> list[Note]:
    """What an adapter changes."""
    name, parts, notes = adapter.folder.path.absolute().name, adapter.parts, []
    if parts.pairs:
        key = "adapter_magnitudes" if adapter.settings.has_magnitudes else "adapter_matrices"
        notes.append(Note(key, {"adapter": name, "n": len(parts.pairs)}))
    if parts.whole:
        ends = list(dict.fromkeys(".".join(tensor.split(".")[-2:]) for tensor in parts.whole))
        shown = ", ".join(ends[:_N_NAMES_SHOWN]) + (", …" if len(ends) > _N_NAMES_SHOWN else "")
        notes.append(Note("adapter_whole", {"adapter": name, "n": len(parts.whole), "names": shown}))
    if parts.rows:
        n_rows = sum(trained.shape[0] for trained in parts.rows.values())
        notes.append(Note("adapter_rows", {"adapter": name, "n": n_rows}))
    if before.n_tokens != after.n_tokens:
        values: dict[str, str | int] = {"adapter": name, "before": before.n_tokens, "after": after.n_tokens}
        notes.append(Note("adapter_vocabulary", values))
    if before.is_tied and not after.is_tied:
        notes.append(Note("adapter_untied", {"adapter": name}))
    return notes
