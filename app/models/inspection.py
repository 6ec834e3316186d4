"""What is at a path on this disk, what it can become, and what is missing to convert it.

Whatever is missing is a value that says what it is; only what nobody can add is a refusal. Reads names,
headers and tokenizers, never weights; what comes out of files is bounded by `convert` and `engine`. Knows no
screen and no sentence.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

from app.kit.errors import KitError
from app.models.importing import find_gguf, locate_model
from app.models.type_options import TypeOption, checkpoint_options
from convert.checkpoint import Checkpoint
from convert.detect import open_checkpoint
from convert.errors import (
    AdapterAlone,
    AdapterMismatch,
    AdapterRowsMissing,
    AdapterTargetMissing,
    AdapterTokenizerMissing,
    AlreadyGguf,
    BrokenLink,
    ConfigMissing,
    ConvertError,
    DamagedEncryptedFile,
    EncryptedEndMissing,
    GptqConfigMissing,
    KeyDoesNotFit,
    KeyNeeded,
    LfsPointer,
    LossyGgmlVocabulary,
    MetaParamsMissing,
    MissingEncryptedShard,
    MissingShard,
    NotACheckpoint,
    NotEncrypted,
    PartialDownload,
    SeveralCheckpoints,
    SeveralWeightFiles,
    SourceError,
    SourceMissing,
    TokenizerError,
    TokenizerMissing,
    TruncatedFile,
    UnscoredGgmlVocabulary,
    UnusableKey,
    WrongKey,
)
from convert.notes import Note
from convert.sources.lora import LoraChoice
from engine.errors import EngineError
from engine.models.errors import PartsMissing
from engine.models.fit import Fit, judge
from engine.models.header_summary import HeaderSummary, summarize
from engine.models.machine import Machine
from engine.models.places import find_parts

NeedKind = Literal["base", "choice", "key", "config", "tokenizer", "files"]
_ORDER: tuple[NeedKind, ...] = ("base", "choice", "key", "config", "tokenizer", "files")

_KEY_PROBLEMS = (
    UnusableKey,
    WrongKey,
    KeyDoesNotFit,
    EncryptedEndMissing,
    DamagedEncryptedFile,
    NotEncrypted,
)
_TOKENIZER_GAPS = (
    TokenizerMissing,
    AdapterTokenizerMissing,
    LossyGgmlVocabulary,
    UnscoredGgmlVocabulary,
)
_CONFIG_GAPS = (ConfigMissing, GptqConfigMissing)
_BASE_PROBLEMS = (
    AdapterMismatch,
    AdapterRowsMissing,
    AdapterTargetMissing,
    NotACheckpoint,
    AlreadyGguf,
    SeveralCheckpoints,
    SourceMissing,
)
_FILE_GAPS = (
    BrokenLink,
    MissingShard,
    MissingEncryptedShard,
    PartialDownload,
    LfsPointer,
    BrokenLink,
    TruncatedFile,
    MetaParamsMissing,
    PartsMissing,
)


@dataclass(frozen=True, slots=True)
class Given:
    """What a person said so far. file: the weight file to take, of several. base: the model that the adapter
    at `path` is for. tokenizer: where the tokenizer, and with it a missing config.json, is.
    """

    path: Path
    file: str | None = None
    base: Path | None = None
    key: Path | None = None
    tokenizer: Path | None = None


@dataclass(frozen=True, slots=True)
class Need:
    """Something a person can add: a field of `Given`, or ("files") files beside those that are there.

    gap: why it is needed; None where it was given and is needed no more than that. problem: what is wrong
    with what was given. choices: of "choice".
    """

    kind: NeedKind
    gap: Exception | None = None
    problem: Exception | None = None
    choices: tuple[str, ...] = ()

    @property
    def is_open(self) -> bool:
        """Whether it keeps the conversion from beginning."""
        return self.gap is not None or self.problem is not None


@dataclass(frozen=True, slots=True)
class CheckpointFacts:
    """What a checkpoint is. form: as `convert.forms` labels it. prompt and the next two: as chosen by itself.

    stored: the types of its weights. types: what it can become. notes: what was chosen, left out or assumed.
    """

    form: str
    family: str
    n_parameters: int
    size_bytes: int
    files: tuple[str, ...]
    stored: tuple[str, ...]
    prompt: str
    prompt_reason: str
    prompt_place: str
    license: str | None
    types: tuple[TypeOption, ...]
    notes: tuple[Note, ...] = ()


@dataclass(frozen=True, slots=True)
class GgufFacts:
    """A model that needs no conversion; `path` is the first of its files."""

    path: Path
    summary: HeaderSummary
    size_bytes: int
    n_files: int
    fit: Fit


@dataclass(frozen=True, slots=True)
class Inspection:
    """The result: facts where all that is needed is there, else open needs, or a refusal."""

    given: Given
    needs: tuple[Need, ...] = ()
    facts: CheckpointFacts | GgufFacts | None = None
    refusal: ConvertError | EngineError | KitError | None = None


def inspect(given: Given, machine: Callable[[], Machine]) -> Inspection:
    """Look at what is there; raises nothing for whatever it finds."""
    try:
        facts = _look(given, machine)
    except (ConvertError, EngineError, KitError) as error:
        need = _need(given, error)
        if need is None:
            return Inspection(given, _with_given(given, ()), refusal=error)
        return Inspection(given, _with_given(given, (need,)))
    return Inspection(given, _with_given(given, ()), facts)


def _look(given: Given, machine: Callable[[], Machine]) -> CheckpointFacts | GgufFacts:
    _require(given.path)
    given = replace(given, path=locate_model(given.path))
    gguf = find_gguf(given.path, given.file) if given.base is None else None
    if gguf is not None:
        return _gguf_facts(gguf, machine())
    if given.base is None:
        path, loras = given.path, []
    else:
        _require(given.base)
        path, loras = given.base, [LoraChoice(given.path)]
    with open_checkpoint(path, given.tokenizer, given.key, file=given.file, loras=loras) as checkpoint:
        return _checkpoint_facts(checkpoint, machine())


def _require(path: Path) -> None:
    """Raise SourceMissing unless there is a file or a folder."""
    try:
        os.stat(path)
    except (OSError, ValueError) as error:  # not there, a name too long for the system, or with a NUL in it
        raise SourceMissing(path, getattr(error, "strerror", None) or str(error)) from error


def _gguf_facts(path: Path, machine: Machine) -> GgufFacts:
    found = find_parts(path.absolute())
    found.require_all()
    summary = summarize(found.path, found.parts)
    try:
        size_bytes = sum(part.stat().st_size for part in found.parts)
    except OSError as error:
        raise SourceMissing(found.path, error.strerror or str(error)) from error
    return GgufFacts(found.path, summary, size_bytes, len(found.parts), judge(summary.footprint, machine))


def _checkpoint_facts(checkpoint: Checkpoint, machine: Machine) -> CheckpointFacts:
    prompt = checkpoint.prompt("auto")
    return CheckpointFacts(
        form=checkpoint.form,
        family=checkpoint.architecture.family.gguf_name,
        n_parameters=checkpoint.n_parameters,
        size_bytes=checkpoint.size_bytes,
        files=checkpoint.files,
        stored=checkpoint.dtypes,
        prompt=prompt.name,
        prompt_reason=prompt.reason,
        prompt_place=prompt.place,
        license=checkpoint.plan("auto", prompt).license,
        types=checkpoint_options(checkpoint, machine),
        notes=checkpoint.notes,
    )


def _need(given: Given, error: Exception) -> Need | None:
    """What a person can do about it, None for nothing but taking something else."""
    about = _given_at_fault(given, error)
    if isinstance(error, SeveralWeightFiles):
        return Need("choice", error, choices=error.names)
    if isinstance(error, AdapterAlone) and given.base is None:
        return Need("base", error)
    if given.base is not None and isinstance(error, AdapterAlone):
        return Need("base", problem=error)
    if isinstance(error, KeyNeeded):
        return Need("key", error)
    if about == "key" or (given.key is not None and isinstance(error, _KEY_PROBLEMS)):
        return Need("key", problem=error)
    if isinstance(error, _CONFIG_GAPS):
        looked_at = given.tokenizer
        return Need("config", error, problem=ConfigMissing(looked_at) if looked_at is not None else None)
    if about == "tokenizer" or isinstance(error, TokenizerError):
        is_gap = isinstance(error, _TOKENIZER_GAPS) and given.tokenizer is None
        return Need("tokenizer", error) if is_gap else Need("tokenizer", problem=error)
    if given.base is not None and isinstance(error, _BASE_PROBLEMS):
        return Need("base", problem=error)
    return Need("files", error) if isinstance(error, _FILE_GAPS) else None


def _given_at_fault(given: Given, error: Exception) -> Literal["key", "tokenizer"] | None:
    """Which of the things given an error is about, by its path."""
    path = error.path if isinstance(error, SourceError) else None
    if path is None:
        return None
    if given.key is not None and path == given.key:
        return "key"
    tokenizer = given.tokenizer
    if tokenizer is not None and (path == tokenizer or tokenizer in path.parents) and path != given.path:
        return "tokenizer"
    return None


def _with_given(given: Given, found: Sequence[Need]) -> tuple[Need, ...]:
    """The needs found, and those that were met: what was given stays to be seen and changed."""
    met: dict[NeedKind, object] = {
        "base": given.base,
        "choice": given.file,
        "key": given.key,
        "tokenizer": given.tokenizer,
    }
    needs = {need.kind: need for need in found}
    for kind, value in met.items():
        if value is not None and kind not in needs and not (kind == "tokenizer" and "config" in needs):
            needs[kind] = Need(kind)
    return tuple(needs[kind] for kind in _ORDER if kind in needs)


def keep_choices(inspection: Inspection, before: Inspection | None) -> Inspection:
    """`inspection` with the choices among files that an earlier one of the same source offered."""
    old = {need.kind: need.choices for need in before.needs} if before is not None else {}
    needs = tuple(replace(need, choices=need.choices or old.get(need.kind, ())) for need in inspection.needs)
    return replace(inspection, needs=needs)
