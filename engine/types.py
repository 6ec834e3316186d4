"""Plain data that crosses the engine's boundary.

Everything here is frozen and made of built-in types only, so that the same values can travel between
processes. Nothing here knows llama.cpp, files or screens.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Literal

Role = Literal["system", "user", "assistant"]
Thinking = Literal["automatic", "on", "off"]
Sampler = Literal["penalties", "top_k", "top_p", "min_p", "xtc", "temperature"]


@dataclass(frozen=True, slots=True)
class TokenIds:
    """Token ids of one answer as they were generated, and the vocabulary they belong to.

    `vocabulary` is `ModelInfo.vocabulary`; ids of another vocabulary are ignored and the text is tokenized.
    """

    vocabulary: str
    ids: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Message:
    """One message of a conversation; `text` is exact (never trimmed), `tokens` only on generated answers.

    thought: what a reasoning model thought before it answered, without its tags; "" where it did not. `text`
    and `tokens` are the answer alone.
    """

    role: Role
    text: str
    tokens: TokenIds | None = None
    thought: str = ""


@dataclass(frozen=True, slots=True)
class Sampling:
    """How the next token is chosen, nothing left open; the defaults are llama.cpp's.

    temperature: 0 is greedy (always the most probable token). top_k: 0 turns it off. top_p and min_p: 1.0 and
    0.0 turn them off. repetition_penalty: 1.0 is off. penalty_last_n: how many of the newest tokens, prompt
    included, the three penalties look at; -1 is the whole context, 0 turns them off. xtc_probability: how
    often the most probable tokens are left out, xtc_threshold: those above it. mirostat: 1 or 2 takes the
    place of all filters, with the target entropy mirostat_tau and the learning rate mirostat_eta. sequence:
    the samplers in the order they work in; one that is missing is off, and penalties always come first.
    seed: None draws a new one. max_tokens: the limit of the answer, its thought included; None is the
    context's room. stop: further stop strings. thinking: whether a model thinks before it answers, where its
    template has a switch for that. thought_budget: after so many tokens the thought is closed, which does not
    count for max_tokens, and the answer begins; None leaves the model to end it. What a model wants is
    settled in `engine.models.model_sampling`.
    """

    temperature: float = 0.8
    top_k: int = 40
    top_p: float = 0.95
    min_p: float = 0.05
    repetition_penalty: float = 1.0
    presence_penalty: float = 0.0
    frequency_penalty: float = 0.0
    seed: int | None = None
    max_tokens: int | None = None
    stop: tuple[str, ...] = ()
    thinking: Thinking = "automatic"
    thought_budget: int | None = None
    penalty_last_n: int = 64
    xtc_probability: float = 0.0
    xtc_threshold: float = 0.1
    mirostat: int = 0
    mirostat_tau: float = 5.0
    mirostat_eta: float = 0.1
    sequence: tuple[Sampler, ...] = ("penalties", "top_k", "top_p", "min_p", "xtc", "temperature")


@dataclass(frozen=True, slots=True)
class LoadOptions:
    """How a model is loaded; None leaves the choice to the engine.

    context_tokens: None is what the model was trained with, at most 4,096, less if memory is short. threads:
    None follows the machine, from one to the number of performance cores; another number stays. gpu_layers:
    None offloads all layers where a GPU backend was built in (Metal). prompt_format: one of
    `engine.prompt.PROMPT_FORMATS`; None decides by the GGUF. chat_template: the text of a Jinja template in
    the place of the file's own. ignore_memory: load although the model does not seem to fit.
    """

    context_tokens: int | None = None
    threads: int | None = None
    gpu_layers: int | None = None
    prompt_format: str | None = None
    chat_template: str | None = None
    ignore_memory: bool = False


@dataclass(frozen=True, slots=True)
class ModelInfo:
    """What was loaded. Sizes in bytes; n_threads: the most that compute; `vocabulary` is a fingerprint of the
    token list (hexadecimal). is_base: nothing in the file says that it was trained to chat, so it only
    continues a text. likely_format: of such a file, the chat format that its vocabulary was made for, if any.
    thinks: it may think before it answers; can_switch_thinking: its template lets one choose.
    """

    path: str
    name: str
    architecture: str
    quantization: str
    n_parameters: int
    size_bytes: int
    n_vocab: int
    trained_context_tokens: int
    context_tokens: int
    n_threads: int
    prompt_format: str
    vocabulary: str
    is_base: bool = False
    likely_format: str | None = None
    thinks: bool = False
    can_switch_thinking: bool = False


@dataclass(frozen=True, slots=True)
class ThoughtChunk:
    """A piece of the thought that precedes the answer, without tags; whole UTF-8 characters."""

    text: str


@dataclass(frozen=True, slots=True)
class TokenChunk:
    """A piece of the answer: whole UTF-8 characters that will not be taken back."""

    text: str


class FinishReason(StrEnum):
    """Why an answer ended: LENGTH is `Sampling.max_tokens`, CONTEXT that the context is full."""

    END = "end"
    STOP = "stop"
    LENGTH = "length"
    CONTEXT = "context"
    CANCELLED = "cancelled"


@dataclass(frozen=True, slots=True)
class Statistics:
    """What one answer took.

    Seconds are wall-clock without the time the consumer takes between events. prompt_tokens counts all of
    the prompt, reused_tokens those of it that were still in the KV cache, forgotten_turns the earliest
    turns that no longer fitted. first_token_s runs from the call to the first token, None when there was
    none; sampling_s is the part of generation_s spent choosing tokens. thought_tokens and thought_s are the
    thought's part of generated_tokens and generation_s.
    """

    prompt_tokens: int
    reused_tokens: int
    generated_tokens: int
    prompt_s: float
    generation_s: float
    first_token_s: float | None
    context_used: int
    context_tokens: int
    forgotten_turns: int
    seed: int
    sampling_s: float = 0.0
    thought_tokens: int = 0
    thought_s: float = 0.0

    @property
    def prompt_tokens_per_s(self) -> float:
        """Newly evaluated prompt tokens a second; 0.0 when nothing was evaluated."""
        n_evaluated = self.prompt_tokens - self.reused_tokens
        return n_evaluated / self.prompt_s if self.prompt_s > 0 else 0.0

    @property
    def tokens_per_s(self) -> float:
        """Generated tokens a second; 0.0 when nothing was generated."""
        return self.generated_tokens / self.generation_s if self.generation_s > 0 else 0.0


@dataclass(frozen=True, slots=True)
class Finished:
    """The last event of an answer; `message` is what to keep in the conversation."""

    reason: FinishReason
    message: Message
    statistics: Statistics


Event = ThoughtChunk | TokenChunk | Finished
