"""The engine in this process: checks a file, loads it, and lets one conversation at a time be answered.

Safe to use from several threads: native code runs under one lock, and a model is never freed while it
computes.
"""

from __future__ import annotations

import threading
from collections.abc import Generator, Iterator, Sequence
from pathlib import Path

from engine.abort import Cancellation
from engine.backend import Progress, untold
from engine.conversation import Conversation, read_conversation
from engine.errors import EngineBusy, NoModelLoaded
from engine.loading import LoadedModel, load_model
from engine.sampling import check_sampling, seed_for
from engine.types import Event, LoadOptions, Message, ModelInfo, Sampling


class InProcessBackend:
    """Implements `engine.backend.Backend` with llama.cpp in this process."""

    def __init__(self) -> None:
        self._native = threading.RLock()  # held while native code runs, never while a consumer does
        self._loaded: LoadedModel | None = None
        self._running: Cancellation | None = None
        self._latest = Cancellation()

    def load(self, path: Path, options: LoadOptions, progress: Progress = untold) -> ModelInfo:
        """Load the GGUF at `path` in place of the model held so far; an answer that still runs ends.

        Raises every subclass of ModelFileError, NotEnoughMemory, UnknownPromptFormat, ChatTemplateFailed,
        NativeLibraryMissing and ProcessorTooOld; afterwards no model is loaded.
        """
        self.cancel()
        with self._native:
            self.unload()
            self._loaded = load_model(path, options, progress)
            return self._loaded.info

    def chat(self, messages: Sequence[Message], sampling: Sampling) -> Iterator[Event]:
        """Answer the last user message, or continue the last message if it is an answer.

        Raises NoModelLoaded, EngineBusy, InvalidConversation and InvalidSampling at once; PromptTooLong,
        AnswerFillsContext, ChatTemplateFailed and GenerationFailed while iterating.
        """
        if self._loaded is None:
            raise NoModelLoaded
        if self._running is not None:
            raise EngineBusy
        check_sampling(sampling)
        conversation = read_conversation(messages)
        self._latest = Cancellation()
        return self._answer(conversation, sampling, self._latest)

    def cancel(self) -> None:
        """End the running answer as soon as possible; safe from any thread, harmless when nothing runs."""
        running = self._running or self._latest
        running.request()

    def unload(self) -> None:
        """Free the model; an answer that still runs is cancelled first."""
        self.cancel()
        with self._native:
            loaded, self._loaded = self._loaded, None
            self._running = None
            if loaded is not None:
                loaded.close()

    def _answer(
        self, conversation: Conversation, sampling: Sampling, cancellation: Cancellation
    ) -> Iterator[Event]:
        """Drive the session's iterator, with the lock held only while it works."""
        with self._native:
            if self._running is not None:
                raise EngineBusy
            if self._loaded is None:
                raise NoModelLoaded
            self._running = cancellation
            events = self._loaded.session.answer(conversation, sampling, seed_for(sampling), cancellation)
        try:
            while (event := self._next(events, cancellation)) is not None:
                yield event
        finally:
            with self._native:
                if self._running is cancellation:
                    self._running = None
                    events.close()

    def _next(self, events: Generator[Event, None, None], cancellation: Cancellation) -> Event | None:
        with self._native:
            if self._running is not cancellation:  # the model was unloaded meanwhile
                raise NoModelLoaded
            return next(events, None)
