"""Tokens and the KV cache: evaluates what is new of a prompt, reuses the rest, generates the answer.

A session belongs to one loaded model and knows which token ids its cache holds. It never shifts positions,
which changes the answers of models with ALiBi. It does not know files or screens.
"""

from __future__ import annotations

from collections.abc import Generator, Iterable, Sequence
from time import perf_counter
from types import TracebackType

from engine.abort import AbortPoll, Cancellation
from engine.answer import Answer, Chunk
from engine.conversation import Conversation
from engine.going_back import WayBack
from engine.llama import Context, Model
from engine.penalties import Penalties, none_spared
from engine.prompt import BELLE_FORMATS, PromptFormat
from engine.sampler_chain import SamplerChain
from engine.thought_tokens import Thoughts
from engine.threads import Threads, ThreadTuner
from engine.types import Event, Finished, FinishReason, Sampling, Statistics
from engine.window import ContextWindow, Prompt


class Session:
    """Answers conversations with one model, context and prompt format.

    thoughts: how the model writes its thoughts, None if it does not think. `vocabulary` is the fingerprint
    that generated ids are kept under; `context_tokens` may be less than what the context has room for.
    n_read: how many tokens of a prompt are evaluated at once, at most the context's `n_batch`; always the
    same, because other batches give other last bits.
    """

    def __init__(
        self,
        model: Model,
        context: Context,
        prompt_format: PromptFormat,
        threads: Threads,
        *,
        thoughts: Thoughts | None = None,
        vocabulary: str,
        context_tokens: int,
        n_read: int,
    ) -> None:
        self._model = model
        self._context = context
        self._threads = threads
        self._n_read = min(n_read, context.n_batch)
        self._turns = prompt_format.turn_starts
        self._stop_strings = prompt_format.stop_strings
        self._thoughts = thoughts
        # BELLE's card has transformers' `generate` penalize all of the context, its end tokens too.
        is_belle = prompt_format.name in BELLE_FORMATS
        self._is_spared = none_spared if is_belle else model.marks_turn
        self._vocabulary = vocabulary
        self._context_tokens = min(context_tokens, context.context_tokens)
        self._window = ContextWindow(model, prompt_format, vocabulary, self._context_tokens)
        self._way_back = WayBack(context)
        self._cached: list[int] = []  # ids at positions 0, 1, … of the cache; may run ahead of it, see _reuse

    def answer(
        self, conversation: Conversation, sampling: Sampling, seed: int, cancellation: Cancellation
    ) -> Generator[Event, None, None]:
        """Answer the last question, or continue its answer: chunks of text, then Finished.

        Raises PromptTooLong, of an answer to continue AnswerFillsContext, ChatTemplateFailed,
        InvalidConversation and GenerationFailed. The session can be used again after any of them, and after
        the iterator was closed early.
        """
        watch = _Stopwatch()
        prompt = self._window.fit(conversation, sampling.max_tokens, sampling.thinking)
        n_reused = self._reuse(prompt.tokens)
        is_read = self._read(prompt.tokens[n_reused:], cancellation)
        watch.prompt_s = watch.seconds
        answer = Answer(
            self._model.piece,
            (*self._stop_strings, *sampling.stop),
            turns=self._turns,
            thoughts=self._thoughts,
            opening=prompt.opening,
            begun=conversation.turns[-1].answer,
        )
        reason = FinishReason.CANCELLED
        if is_read:
            self._way_back.begin_answer()
            penalties = Penalties(sampling, prompt.tokens, self._is_spared)
            with _TokenChooser(self._context, sampling, seed, penalties) as chooser:
                room = self._context_tokens - len(prompt.tokens)
                reason = yield from self._generate(answer, chooser, sampling, room, cancellation, watch)
                watch.sampling_s = chooser.seconds
        yield from answer.finish(reason)
        statistics = self._statistics(prompt, n_reused, answer, seed, watch)
        yield Finished(reason, answer.message(self._vocabulary), statistics)

    def _reuse(self, tokens: Sequence[int]) -> int:
        """Shorten the cache to what it shares with `tokens`, less the last one, whose logits are needed."""
        del self._cached[self._context.n_cached :]
        n_shared = _common_prefix(self._cached, tokens[:-1])
        if n_shared < len(self._cached):
            n_shared = self._way_back.shorten(n_shared)
        del self._cached[n_shared:]
        return n_shared

    def _read(self, tokens: Sequence[int], cancellation: Cancellation) -> bool:
        """Evaluate the new part of a prompt; False when cancelled."""
        start, tuner = 0, self._threads.reading
        tuner.begin()
        with self._context.abortable(AbortPoll(cancellation)):
            while start < len(tokens):
                batch = tokens[start : start + self._n_read]
                if cancellation.requested or not self._append(batch, tuner):
                    return False
                start += len(batch)
        return not cancellation.requested

    def _generate(
        self,
        answer: Answer,
        chooser: _TokenChooser,
        sampling: Sampling,
        room: int,
        cancellation: Cancellation,
        watch: _Stopwatch,
    ) -> Generator[Event, None, FinishReason]:
        """Generate until the end, `sampling.max_tokens`, or the context's `room` is used up.

        A single token is soon done, so no abort callback is needed for it.
        """
        self._threads.generating.begin()
        while True:
            reason = self._close_thought(answer, chooser, sampling, room, cancellation)
            if reason is not None:
                return reason
            token = chooser.choose()
            watch.token_chosen()
            if self._model.ends_answer(token) and not answer.awaits(token):
                return FinishReason.END
            yield from _told(answer.push(token), watch)
            if answer.is_thinking:
                watch.thought_ends()
            if answer.ended:
                return FinishReason.END
            if answer.stopped:
                return FinishReason.STOP
            if answer.n_chosen_tokens == sampling.max_tokens:
                return FinishReason.LENGTH
            if len(answer.tokens) >= room:
                return FinishReason.CONTEXT
            if cancellation.requested or not self._append((token,), self._threads.generating):
                return FinishReason.CANCELLED

    def _close_thought(
        self,
        answer: Answer,
        chooser: _TokenChooser,
        sampling: Sampling,
        room: int,
        cancellation: Cancellation,
    ) -> FinishReason | None:
        """Close a thought that has used up its budget; why the answer ends instead, if it does."""
        closing = answer.closing(sampling.thought_budget)
        if not closing:
            return None
        if len(answer.tokens) + len(closing) >= room:
            return FinishReason.CONTEXT
        answer.close(closing)
        chooser.accept(closing)
        return None if self._read(closing, cancellation) else FinishReason.CANCELLED

    def _append(self, tokens: Sequence[int], tuner: ThreadTuner) -> bool:
        self._cached += tokens  # first, so that whatever happens next, the list covers the cache
        self._context.use_threads(tuner.n_threads)
        start = perf_counter()
        is_done = self._context.evaluate(tokens)
        # The few that a prompt ends with take longer for each token, and would be taken for a slower machine.
        if is_done and (tuner is self._threads.generating or len(tokens) == self._n_read):
            tuner.took(perf_counter() - start, len(tokens))
        return is_done

    def _statistics(
        self, prompt: Prompt, n_reused: int, answer: Answer, seed: int, watch: _Stopwatch
    ) -> Statistics:
        return Statistics(
            prompt_tokens=len(prompt.tokens),
            reused_tokens=n_reused,
            generated_tokens=len(answer.tokens),
            prompt_s=watch.prompt_s,
            generation_s=watch.seconds - watch.prompt_s,
            first_token_s=watch.first_token_s,
            context_used=len(prompt.tokens) + len(answer.tokens),
            context_tokens=self._context_tokens,
            forgotten_turns=prompt.forgotten_turns,
            seed=seed,
            sampling_s=watch.sampling_s,
            thought_tokens=answer.n_thought_tokens,
            thought_s=watch.thought_s,
        )


class _TokenChooser:
    """Penalties and sampler chain of one answer, with the time they take."""

    def __init__(self, context: Context, sampling: Sampling, seed: int, penalties: Penalties) -> None:
        self._context = context
        self._penalties = penalties
        self._chain = SamplerChain(sampling, seed, context.model.n_vocab)
        self.seconds = 0.0

    def choose(self) -> int:
        """The next token, which counts for the penalties from now on."""
        start = perf_counter()
        if self._penalties.enabled:
            self._penalties.apply(self._context.logits())
        token = self._chain.sample(self._context)
        self._penalties.accept(token)
        self.seconds += perf_counter() - start
        return token

    def accept(self, tokens: Sequence[int]) -> None:
        """Count tokens that were not chosen here."""
        for token in tokens:
            self._penalties.accept(token)

    def __enter__(self) -> _TokenChooser:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._chain.close()


class _Stopwatch:
    """Wall-clock seconds of one answer, without what the consumer takes between events."""

    def __init__(self) -> None:
        self._start = perf_counter()
        self.prompt_s = 0.0
        self.sampling_s = 0.0
        self.thought_s = 0.0
        self.first_token_s: float | None = None

    @property
    def seconds(self) -> float:
        return perf_counter() - self._start

    def leave_out(self, seconds: float) -> None:
        self._start += seconds

    def token_chosen(self) -> None:
        if self.first_token_s is None:
            self.first_token_s = self.seconds

    def thought_ends(self) -> None:
        """Until now the answer was a thought, as far as one can tell."""
        self.thought_s = self.seconds - self.prompt_s


def _told(chunks: Iterable[Chunk], watch: _Stopwatch) -> Generator[Event, None, None]:
    """The same, without the time that the consumer takes."""
    for chunk in chunks:
        waiting_since = perf_counter()
        yield chunk
        watch.leave_out(perf_counter() - waiting_since)


def _common_prefix(first: Sequence[int], second: Sequence[int]) -> int:
    """Number of equal elements at the front of both."""
    pairs = enumerate(zip(first, second, strict=False))
    return next((index for index, (one, other) in pairs if one != other), min(len(first), len(second)))
