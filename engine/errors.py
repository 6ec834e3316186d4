"""Everything the engine can refuse or fail at, one class per thing a person can act on.

Errors carry fields, not sentences: the front ends turn them into zh-CN or en by class name and fields.

EngineError
├── ModelFileError            the file named by `path` can't be used
│   ├── ModelFileMissing
│   ├── ModelFileEmpty
│   ├── NotGguf
│   ├── LfsPointerFile
│   ├── WebPageFile
│   ├── ErrorReplyFile
│   ├── OtherFileFormat
│   ├── BigEndianGguf
│   ├── UnsupportedGgufVersion
│   ├── DamagedHeader
│   ├── TruncatedModel
│   ├── UnsupportedArchitecture
│   ├── LoadFailed
│   └── NotAChatModel         a sound GGUF of something else
│       ├── ProjectorFile
│       ├── AdapterFile
│       ├── ImportanceMatrixFile
│       ├── VocabularyFile
│       ├── EmbeddingModel
│       ├── EncoderDecoderModel
│       ├── DiffusionModel
│       ├── ImageModel
│       ├── SpeechModel
│       └── DraftModel
├── NotEnoughMemory
├── NoModelLoaded
├── EngineBusy
├── InvalidConversation
├── InvalidSampling
├── UnknownPromptFormat
├── ChatTemplateFailed
├── PromptTooLong
├── AnswerFillsContext
├── GenerationFailed
├── NativeLibraryMissing
├── UnfitProcessor            starting once more would end the same way
│   ├── ProcessorTooOld
│   └── IllegalInstruction
├── EngineStopped
└── EngineKeepsStopping
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from pathlib import Path


@dataclass(eq=False)
class EngineError(Exception):
    """Base of all engine errors; its dataclass fields are what a message may use."""

    def __str__(self) -> str:
        values = ", ".join(f"{field.name}={getattr(self, field.name)!r}" for field in fields(self))
        return f"{type(self).__name__}({values})"


@dataclass(eq=False)
class ModelFileError(EngineError):
    """A model file can't be used."""

    path: Path


@dataclass(eq=False)
class ModelFileMissing(ModelFileError):
    """There is no readable file at `path`; `reason` is the system's (missing, no permission, a folder)."""

    reason: str


@dataclass(eq=False)
class ModelFileEmpty(ModelFileError):
    """There is nothing in the file."""


@dataclass(eq=False)
class NotGguf(ModelFileError):
    """The file does not begin with the GGUF magic; `found` shows its first bytes."""

    found: str


@dataclass(eq=False)
class LfsPointerFile(ModelFileError):
    """Git left its note of a large file here, not the file, which has `size_bytes` (None: not said)."""

    size_bytes: int | None


@dataclass(eq=False)
class WebPageFile(ModelFileError):
    """A web page was saved under the model's name."""


@dataclass(eq=False)
class ErrorReplyFile(ModelFileError):
    """A server's report of an error, in JSON, was saved under the model's name."""


@dataclass(eq=False)
class OtherFileFormat(ModelFileError):
    """The file is of another well-known format, whatever its name says; `format` is that one's name."""

    format: str


@dataclass(eq=False)
class BigEndianGguf(ModelFileError):
    """A GGUF for processors of the other byte order (IBM Z)."""


@dataclass(eq=False)
class UnsupportedGgufVersion(ModelFileError):
    """The container version is not one this engine reads."""

    found: int


@dataclass(eq=False)
class DamagedHeader(ModelFileError):
    """The header contradicts itself or a sane bound; `detail` names the field."""

    detail: str


@dataclass(eq=False)
class TruncatedModel(ModelFileError):
    """The file is shorter than its header says, as an interrupted download leaves it."""

    expected_bytes: int
    found_bytes: int


@dataclass(eq=False)
class UnsupportedArchitecture(ModelFileError):
    """This llama.cpp has no code for the model's architecture."""

    architecture: str


@dataclass(eq=False)
class LoadFailed(ModelFileError):
    """llama.cpp refused the file; `reason` is its own last error line."""

    reason: str


@dataclass(eq=False)
class NotAChatModel(ModelFileError):
    """The file is sound, and what it holds can't answer questions."""


@dataclass(eq=False)
class ProjectorFile(NotAChatModel):
    """The part of a multimodal model that sees or hears (mmproj); the model is another file."""


@dataclass(eq=False)
class AdapterFile(NotAChatModel):
    """A LoRA or a control vector: changes to a model that is another file."""


@dataclass(eq=False)
class ImportanceMatrixFile(NotAChatModel):
    """Statistics for quantizing a model."""


@dataclass(eq=False)
class VocabularyFile(NotAChatModel):
    """A vocabulary without weights."""


@dataclass(eq=False)
class EmbeddingModel(NotAChatModel):
    """An encoder, an embedding model or a reranker: it turns texts into numbers."""


@dataclass(eq=False)
class EncoderDecoderModel(NotAChatModel):
    """A T5 or another model that reads with one half and writes with the other."""


@dataclass(eq=False)
class DiffusionModel(NotAChatModel):
    """A language model that writes by diffusion, not token after token."""


@dataclass(eq=False)
class ImageModel(NotAChatModel):
    """A model that makes images or video."""


@dataclass(eq=False)
class SpeechModel(NotAChatModel):
    """A model that speaks, or that writes down what is said."""


@dataclass(eq=False)
class DraftModel(NotAChatModel):
    """A helper that guesses tokens for a larger model."""


@dataclass(eq=False)
class NotEnoughMemory(EngineError):
    """The model and its context need more memory than is available now (bytes)."""

    path: Path
    needed_bytes: int
    available_bytes: int
    context_tokens: int
    smaller_context_tokens: int | None


@dataclass(eq=False)
class NoModelLoaded(EngineError):
    """A chat was asked for before a model was loaded."""


@dataclass(eq=False)
class EngineBusy(EngineError):
    """Another answer is still running."""


@dataclass(eq=False)
class InvalidConversation(EngineError):
    """The messages do not form a conversation that ends with a user message; `detail` says why."""

    detail: str


@dataclass(eq=False)
class InvalidSampling(EngineError):
    """A sampling setting is outside its range."""

    setting: str
    value: float
    allowed: str


@dataclass(eq=False)
class UnknownPromptFormat(EngineError):
    """The prompt format asked for does not exist."""

    name: str
    known: tuple[str, ...]


@dataclass(eq=False)
class ChatTemplateFailed(EngineError):
    """The GGUF's own chat template can't be rendered."""

    detail: str


@dataclass(eq=False)
class PromptTooLong(EngineError):
    """A single message can't fit the context together with room for the answer (tokens)."""

    message_tokens: int
    available_tokens: int
    context_tokens: int


@dataclass(eq=False)
class AnswerFillsContext(EngineError):
    """A question and the beginning of its answer leave no room to continue it (tokens of both)."""

    prompt_tokens: int
    available_tokens: int
    context_tokens: int


@dataclass(eq=False)
class GenerationFailed(EngineError):
    """llama.cpp failed while evaluating tokens; `code` is its return value."""

    code: int


@dataclass(eq=False)
class NativeLibraryMissing(EngineError):
    """llama-cpp-python is not installed or can't be loaded on this machine."""

    detail: str


@dataclass(eq=False)
class UnfitProcessor(EngineError):
    """This processor can't run the native libraries."""


@dataclass(eq=False)
class ProcessorTooOld(UnfitProcessor):
    """It has no SSE4.2, which everything here needs (x86-64-v2, of 2008)."""


@dataclass(eq=False)
class IllegalInstruction(UnfitProcessor):
    """The engine's process ended at an instruction that it doesn't have: they were built for another one.

    release: of llama-cpp-python.
    """

    release: str


@dataclass(eq=False)
class EngineStopped(EngineError):
    """The engine's process ended by itself; the next load or chat starts it again.

    reason: the signal's name, the exit code or what else was seen, with the last native error line where
    there was one. exit_code: the process's, negative for a signal, None when it is not known.
    """

    reason: str
    exit_code: int | None
    last_line: str


@dataclass(eq=False)
class EngineKeepsStopping(EngineError):
    """The engine stopped `n_times` in `minutes` with the model at `path`; it stays stopped."""

    path: Path
    n_times: int
    minutes: int
    reason: str
