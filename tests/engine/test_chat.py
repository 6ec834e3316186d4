"""Answers: reproducible, reusing what is cached, ending where they should, and safe to interrupt."""

from __future__ import annotations

import dataclasses
import signal
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace

import pytest

from builders.chats import GREEDY, ask, talk, user
from builders.gguf_models import END, byte_vocabulary, chain, write_scripted_model
from engine import loading, session, threads
from engine.errors import EngineBusy, InvalidConversation, InvalidSampling, NoModelLoaded
from engine.in_process import InProcessBackend
from engine.llama import Context
from engine.types import (
    Finished,
    FinishReason,
    LoadOptions,
    Message,
    Sampling,
    TokenChunk,
    TokenIds,
)

NO_PENALTY = Sampling(temperature=0, repetition_penalty=1.0, max_tokens=40)
ZHONG = [bytes([byte]) for byte in "中文".encode()]


def scripted(backend: InProcessBackend, folder: Path, *texts: bytes) -> None:
    """Load a model that answers with `texts`, each one token, to anything."""
    backend.load(write_scripted_model(folder / "scripted.gguf", chain(b":", *texts)), LoadOptions())


# --- threads ----------------------------------------------------------------------------------------


@dataclass
class Evaluations:
    """What was evaluated: how many tokens at once, with how many threads."""

    done: list[tuple[int, int]] = field(default_factory=list)
    now_s: float = 0.0

    def threads(self, at_once: Callable[[int], bool]) -> list[int]:
        return [n_threads for n_tokens, n_threads in self.done if at_once(n_tokens)]


@pytest.fixture
def evaluations(monkeypatch: pytest.MonkeyPatch) -> Evaluations:
    """On a machine of two cores, whose clock says that one thread is five times as fast as two."""
    seen = Evaluations()
    use_threads, evaluate = Context.use_threads, Context.evaluate
    n_now = 0

    def use(self: Context, n_threads: int) -> None:
        nonlocal n_now
        n_now = n_threads
        use_threads(self, n_threads)

    def take_time(self: Context, tokens: list[int]) -> bool:
        seen.done.append((len(tokens), n_now))
        seen.now_s += len(tokens) * (0.01 if n_now == 1 else 0.05)
        return evaluate(self, tokens)

    monkeypatch.setattr(loading, "performance_cores", lambda: 2)
    monkeypatch.setattr(threads, "OtherWork", lambda: SimpleNamespace(spare_cores=lambda: None))
    monkeypatch.setattr(Context, "use_threads", use)
    monkeypatch.setattr(Context, "evaluate", take_time)
    monkeypatch.setattr(session, "perf_counter", lambda: seen.now_s)
    return seen


LONG, LONGER = [user("word " * 400)], dataclasses.replace(GREEDY, max_tokens=120)


def test_threads_follow_what_evaluations_take(
    backend: InProcessBackend, models: Path, evaluations: Evaluations
) -> None:
    backend.load(models / "llama.gguf", LoadOptions(context_tokens=4096, prompt_format="belle"))
    ask(backend, LONG, LONGER)

    used = evaluations.threads(lambda n: n == 1)
    assert used[0] == 2
    assert used[-40:].count(1) >= 30


def test_the_number_of_threads_does_not_show_in_a_short_answer(
    backend: InProcessBackend, models: Path, evaluations: Evaluations
) -> None:
    backend.load(models / "llama.gguf", LoadOptions(prompt_format="belle"))
    answer = ask(backend, [user("hi")], LONGER)
    assert set(evaluations.threads(lambda n: n == 1)) == {1, 2}

    backend.load(models / "llama.gguf", LoadOptions(prompt_format="belle", threads=1))
    assert ask(backend, [user("hi")], LONGER).message == answer.message


def test_a_prompt_is_read_in_equal_batches_however_fast_that_is(
    backend: InProcessBackend, models: Path, evaluations: Evaluations
) -> None:
    backend.load(models / "llama.gguf", LoadOptions(context_tokens=4096, prompt_format="belle"))
    n_tokens = ask(backend, LONG, dataclasses.replace(GREEDY, max_tokens=1)).statistics.prompt_tokens

    sizes = [n for n, _ in evaluations.done]
    assert sizes == [128] * (n_tokens // 128) + [n_tokens % 128]


def test_a_fixed_number_of_threads_never_changes(
    backend: InProcessBackend, models: Path, evaluations: Evaluations
) -> None:
    options = LoadOptions(context_tokens=4096, prompt_format="belle", threads=2)
    assert backend.load(models / "llama.gguf", options).n_threads == 2
    ask(backend, LONG, LONGER)

    assert {n_threads for _, n_threads in evaluations.done} == {2}


@pytest.mark.parametrize(
    ("n_parameters", "n_threads", "expected"),
    [(7_000_000_000, 2, 16), (7_000_000_000, 8, 64), (1_500_000_000, 2, 80), (135_000_000, 1, 128)],
)
def test_a_batch_takes_about_a_second(n_parameters: int, n_threads: int, expected: int) -> None:
    assert loading.tokens_at_once(n_parameters, n_threads) == expected


# --- reproducible -----------------------------------------------------------------------------------


@pytest.fixture
def warm(loaded: InProcessBackend) -> InProcessBackend:
    """Has read the prompt: the next answers all evaluate its last token alone, which gives other last bits
    than the whole prompt at once, and one answer in a thousand another token.
    """
    ask(loaded, [user("hi")])
    return loaded


def test_greedy_answers_are_the_same_every_time(loaded: InProcessBackend) -> None:
    first = ask(loaded, [user("你好")])
    second = ask(loaded, [user("你好")])
    assert first.message == second.message
    assert first.statistics.generated_tokens == GREEDY.max_tokens
    assert len(set(first.message.tokens.ids if first.message.tokens else ())) > 5


def test_a_seed_makes_chance_reproducible(warm: InProcessBackend) -> None:
    sampling = Sampling(temperature=1.5, top_k=0, top_p=1.0, max_tokens=24, seed=7)
    answers = [ask(warm, [user("hi")], sampling) for _ in range(2)]
    assert answers[0].message == answers[1].message
    assert answers[0].statistics.seed == 7


def test_without_a_seed_a_new_one_is_drawn_and_reported(warm: InProcessBackend) -> None:
    sampling = Sampling(temperature=1.5, top_k=0, top_p=1.0, max_tokens=24)
    first, second = (ask(warm, [user("hi")], sampling) for _ in range(2))
    assert first.statistics.seed != second.statistics.seed
    again = ask(warm, [user("hi")], dataclasses.replace(sampling, seed=first.statistics.seed))
    assert again.message == first.message


# --- prefix reuse -----------------------------------------------------------------------------------


def test_the_next_turn_evaluates_only_what_is_new(loaded: InProcessBackend) -> None:
    messages, [first, second] = talk(loaded, ["hello", "more"])
    assert first.statistics.reused_tokens == 0
    # All of the first prompt and answer but the answer's last token, which was never evaluated.
    expected = first.statistics.prompt_tokens + first.statistics.generated_tokens - 1
    assert second.statistics.reused_tokens == expected
    assert messages[1].tokens is not None


@pytest.mark.parametrize("name", ["bloom", "llama"])
def test_reuse_gives_the_answer_of_a_fresh_evaluation(
    backend: InProcessBackend, models: Path, name: str
) -> None:
    options = LoadOptions(prompt_format="belle")
    backend.load(models / f"{name}.gguf", options)
    messages, answers = talk(backend, ["hello", "more", "still more"])
    assert answers[2].statistics.reused_tokens > answers[1].statistics.prompt_tokens
    backend.load(models / f"{name}.gguf", options)
    fresh = ask(backend, messages[:-1])
    assert fresh.statistics.reused_tokens == 0
    assert fresh.message == messages[-1]


def test_asking_again_evaluates_one_token(loaded: InProcessBackend) -> None:
    prompt = [user("the same question")]
    first, second = ask(loaded, prompt), ask(loaded, prompt)
    assert second.statistics.reused_tokens == first.statistics.prompt_tokens - 1


def test_an_edited_question_reuses_what_comes_before_it(loaded: InProcessBackend) -> None:
    messages, [first, _] = talk(loaded, ["one", "two"])
    edited = ask(loaded, [*messages[:2], user("2")])
    assert edited.statistics.reused_tokens >= first.statistics.prompt_tokens


def test_ids_of_another_vocabulary_are_not_trusted(loaded: InProcessBackend) -> None:
    [_, answer], [first] = talk(loaded, ["one"])
    foreign = Message("assistant", "good", TokenIds("another", (1, 2, 3)))
    plain = Message("assistant", "good")
    assert answer.tokens is not None
    hostile = Message("assistant", "good", TokenIds(answer.tokens.vocabulary, (10**6, -5)))
    counts = {
        ask(loaded, [user("one"), message, user("two")]).statistics.prompt_tokens
        for message in (foreign, plain, hostile)
    }
    assert len(counts) == 1
    assert first.reason is FinishReason.LENGTH


# --- how an answer ends -----------------------------------------------------------------------------


def test_the_end_token_ends_the_answer(backend: InProcessBackend, tmp_path: Path) -> None:
    scripted(backend, tmp_path, b"o", b"k")
    finished = ask(backend, [user("?")], NO_PENALTY)
    assert finished.reason is FinishReason.END
    assert finished.message.text == "ok"
    ids = byte_vocabulary().ids
    assert finished.message.tokens is not None
    assert finished.message.tokens.ids == (ids[b"o"], ids[b"k"])


def test_max_tokens_end_the_answer(backend: InProcessBackend, tmp_path: Path) -> None:
    scripted(backend, tmp_path, *[bytes([letter]) for letter in b"abcdefgh"])
    finished = ask(backend, [user("?")], dataclasses.replace(NO_PENALTY, max_tokens=3))
    assert (finished.reason, finished.message.text) == (FinishReason.LENGTH, "abc")


def test_a_full_context_ends_the_answer(backend: InProcessBackend, models: Path) -> None:
    backend.load(models / "llama.gguf", LoadOptions(context_tokens=64, prompt_format="belle"))
    finished = ask(backend, [user("hello")], dataclasses.replace(GREEDY, max_tokens=10_000))
    assert finished.reason in (FinishReason.CONTEXT, FinishReason.END)
    assert finished.statistics.context_used == 64 == finished.statistics.context_tokens


def test_characters_split_over_tokens_come_out_whole(backend: InProcessBackend, tmp_path: Path) -> None:
    scripted(backend, tmp_path, *ZHONG)
    events = list(backend.chat([user("?")], NO_PENALTY))
    assert events[:-1] == [TokenChunk("中"), TokenChunk("文")]


def test_a_character_cut_by_the_limit_is_dropped_with_its_tokens(
    backend: InProcessBackend, tmp_path: Path
) -> None:
    scripted(backend, tmp_path, *ZHONG)
    finished = ask(backend, [user("?")], dataclasses.replace(NO_PENALTY, max_tokens=5))
    ids = byte_vocabulary().ids
    assert finished.message.text == "中"
    assert finished.message.tokens is not None
    assert finished.message.tokens.ids == tuple(ids[byte] for byte in ZHONG[:3])


def test_a_stop_string_over_several_tokens_never_leaks(backend: InProcessBackend, tmp_path: Path) -> None:
    vocabulary = byte_vocabulary(["Human:"])
    following = chain(b":", b"o", b"k", b"\n", b"Hum", b"a", b"n", vocabulary=vocabulary)
    following[vocabulary.ids[b"n"]] = vocabulary.ids[b"Human:"]
    path = write_scripted_model(tmp_path / "m.gguf", following, vocabulary=vocabulary)
    backend.load(path, LoadOptions())
    chunks = list(backend.chat([user("?")], dataclasses.replace(NO_PENALTY, stop=("Human!", "manH"))))
    finished = chunks[-1]
    assert isinstance(finished, Finished)
    assert finished.reason is FinishReason.STOP
    assert finished.message.text == "ok\nHu"
    assert finished.message.tokens is None  # it ends inside the token `Hum`


@pytest.mark.parametrize("turn", ["\nHuman:", "\nHuman：", "\n Human:", "\n Human："])
@pytest.mark.parametrize("said", [b"ok", b""])
def test_a_turn_that_the_model_makes_up_ends_the_answer(
    backend: InProcessBackend, tmp_path: Path, turn: str, said: bytes
) -> None:
    turn = turn if said else turn[1:]
    texts = [text for text in (said, turn.encode(), b" q?", b"\n\nAssistant", b": ", b"a") if text]
    vocabulary = byte_vocabulary([text.decode() for text in texts])
    following = chain(b":", *texts, vocabulary=vocabulary)
    backend.load(write_scripted_model(tmp_path / "m.gguf", following, vocabulary=vocabulary), LoadOptions())
    finished = ask(backend, [user("?")], NO_PENALTY)
    assert (finished.reason, finished.message.text) == (FinishReason.STOP, said.decode())
    assert finished.message.tokens is not None
    assert finished.message.tokens.ids == tuple(vocabulary.ids[text] for text in (said,) if text)
    following_turn = ask(backend, [user("?"), finished.message, user("?")], NO_PENALTY)
    n_kept = len(finished.message.tokens.ids)
    assert following_turn.statistics.reused_tokens == finished.statistics.prompt_tokens + n_kept
    again = ask(backend, [user("?"), finished.message], dataclasses.replace(NO_PENALTY, max_tokens=5))
    assert again.message.text.startswith(said.decode() + turn + " q?\n\nAssistant")


def test_a_quoted_line_is_no_turn(backend: InProcessBackend, tmp_path: Path) -> None:
    said = [b"Words", b"\nHuman:", b" an animal", b"\n\n", b"Dog:", b" another"]
    vocabulary = byte_vocabulary([text.decode() for text in said])
    following = chain(b":", *said, vocabulary=vocabulary)
    backend.load(write_scripted_model(tmp_path / "m.gguf", following, vocabulary=vocabulary), LoadOptions())
    finished = ask(backend, [user("?")], NO_PENALTY)
    assert (finished.reason, finished.message.text) == (FinishReason.END, b"".join(said).decode())
    assert finished.message.tokens is not None
    assert finished.message.tokens.ids == tuple(vocabulary.ids[text] for text in said)


def test_a_stop_string_of_the_persons_own_is_exact(backend: InProcessBackend, tmp_path: Path) -> None:
    scripted(backend, tmp_path, b"o", b"k")
    finished = ask(backend, [user("?")], dataclasses.replace(NO_PENALTY, stop=("\nok",)))
    assert (finished.reason, finished.message.text) == (FinishReason.END, "ok")


def test_a_cut_off_answer_can_be_continued(backend: InProcessBackend, tmp_path: Path) -> None:
    scripted(backend, tmp_path, *[bytes([letter]) for letter in b"abcdefgh"])
    short = dataclasses.replace(NO_PENALTY, max_tokens=3)
    begun = ask(backend, [user("?")], short).message
    continued = ask(backend, [user("?"), begun], NO_PENALTY)
    assert continued.message.text == "abcdefgh"
    assert continued.message.tokens is not None
    assert len(continued.message.tokens.ids) == 8
    assert continued.statistics.reused_tokens == continued.statistics.prompt_tokens - 1


def test_what_a_person_types_never_becomes_a_control_token(backend: InProcessBackend, models: Path) -> None:
    for prompt_format in ("belle", "belle-card", "belle-llama", "base"):
        backend.load(models / "bloom.gguf", LoadOptions(prompt_format=prompt_format))
        typed = ask(backend, [user("a</s>b")]).statistics.prompt_tokens
        plain = ask(backend, [user("a####b")]).statistics.prompt_tokens
        assert typed == plain


# --- cancelling -------------------------------------------------------------------------------------


def cancel_when(backend: InProcessBackend, started: threading.Event) -> threading.Thread:
    def wait_and_cancel() -> None:
        started.wait(10)
        backend.cancel()

    thread = threading.Thread(target=wait_and_cancel)
    thread.start()
    return thread


def test_cancel_ends_generation_within_a_token(loaded: InProcessBackend) -> None:
    events = loaded.chat([user("hello")], dataclasses.replace(GREEDY, max_tokens=400))
    next(events)
    loaded.cancel()
    rest = list(events)
    assert isinstance(rest[-1], Finished)
    assert rest[-1].reason is FinishReason.CANCELLED
    assert rest[-1].statistics.generated_tokens <= 6  # those of the first whole character
    assert_still_right(loaded)


def test_cancel_from_another_thread_while_the_prompt_is_read(
    backend: InProcessBackend, models: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    backend.load(models / "llama.gguf", LoadOptions(context_tokens=8192, prompt_format="belle"))
    started = threading.Event()
    evaluate = Context.evaluate

    def announce(self: Context, tokens: list[int]) -> bool:
        started.set()
        return evaluate(self, tokens)

    monkeypatch.setattr(Context, "evaluate", announce)
    thread = cancel_when(backend, started)
    finished = ask(backend, [user("word " * 1100)])
    thread.join()
    assert finished.reason is FinishReason.CANCELLED
    assert finished.message.text == ""
    assert finished.statistics.generated_tokens == 0
    assert finished.statistics.first_token_s is None
    monkeypatch.undo()
    assert_still_right(backend)


def test_a_signal_while_the_prompt_is_read_ends_it_and_is_not_lost(
    backend: InProcessBackend, models: Path
) -> None:
    backend.load(models / "llama.gguf", LoadOptions(context_tokens=8192, prompt_format="belle"))

    def ask_for_long() -> None:
        threading.Timer(0.05, signal.raise_signal, [signal.SIGINT]).start()
        for _ in range(1000):
            ask(backend, [user("word " * 1100)], dataclasses.replace(GREEDY, max_tokens=1))
            ask(backend, [user("another")], dataclasses.replace(GREEDY, max_tokens=1))

    with pytest.raises(KeyboardInterrupt):
        ask_for_long()
    assert_still_right(backend)


def test_closing_the_iterator_cancels(loaded: InProcessBackend) -> None:
    events = loaded.chat([user("hello")], dataclasses.replace(GREEDY, max_tokens=400))
    next(events)
    assert isinstance(events, Iterator)
    events.close()  # type: ignore[attr-defined]
    assert_still_right(loaded)


def test_an_iterator_that_was_never_started_blocks_nothing(loaded: InProcessBackend) -> None:
    loaded.chat([user("hello")], GREEDY)
    assert_still_right(loaded)


def test_cancel_with_nothing_running_is_harmless(loaded: InProcessBackend) -> None:
    loaded.cancel()
    assert ask(loaded, [user("hi")]).reason is not FinishReason.CANCELLED


def test_cancel_before_the_first_event_is_heard(loaded: InProcessBackend) -> None:
    events = loaded.chat([user("hello")], GREEDY)
    loaded.cancel()
    [finished] = events
    assert isinstance(finished, Finished)
    assert finished.reason is FinishReason.CANCELLED


def assert_still_right(backend: InProcessBackend) -> None:
    """The next answer is what a fresh context gives."""
    messages = [user("a question after all that")]
    answer = ask(backend, messages).message
    ask(backend, [user("something else entirely, so that nothing can be reused")])
    assert ask(backend, messages).message == answer


# --- refusals ---------------------------------------------------------------------------------------


def test_one_answer_at_a_time(loaded: InProcessBackend) -> None:
    events = loaded.chat([user("hello")], GREEDY)
    other = loaded.chat([user("hello")], GREEDY)
    next(events)
    with pytest.raises(EngineBusy):
        loaded.chat([user("hello")], GREEDY)
    with pytest.raises(EngineBusy):
        next(other)
    assert isinstance(list(events)[-1], Finished)


def test_no_chat_without_a_model(backend: InProcessBackend, models: Path) -> None:
    with pytest.raises(NoModelLoaded):
        backend.chat([user("hi")], GREEDY)
    backend.load(models / "bloom.gguf", LoadOptions())
    backend.unload()
    with pytest.raises(NoModelLoaded):
        backend.chat([user("hi")], GREEDY)


def test_unloading_ends_a_running_answer(loaded: InProcessBackend) -> None:
    events = loaded.chat([user("hello")], GREEDY)
    next(events)
    loaded.unload()
    with pytest.raises(NoModelLoaded):
        list(events)


def test_a_bad_conversation_is_refused_at_once(loaded: InProcessBackend) -> None:
    with pytest.raises(InvalidConversation):
        loaded.chat([Message("assistant", "hi")], GREEDY)


@pytest.mark.parametrize(
    ("setting", "value"),
    [
        ("temperature", -0.1),
        ("temperature", float("nan")),
        ("top_k", -1),
        ("top_p", 1.1),
        ("min_p", -0.5),
        ("repetition_penalty", 0.0),
        ("presence_penalty", float("inf")),
        ("frequency_penalty", -1000.0),
        ("max_tokens", 0),
        ("seed", 2**32 - 1),
        ("seed", -1),
    ],
)
def test_a_bad_setting_is_refused_by_name(loaded: InProcessBackend, setting: str, value: float) -> None:
    with pytest.raises(InvalidSampling) as caught:
        loaded.chat([user("hi")], dataclasses.replace(GREEDY, **{setting: value}))
    assert caught.value.setting == setting
    assert caught.value.allowed


@pytest.mark.parametrize("stop", [("",), ("x" * 2000,), ("x",) * 100])
def test_bad_stop_strings_are_refused(loaded: InProcessBackend, stop: tuple[str, ...]) -> None:
    with pytest.raises(InvalidSampling) as caught:
        loaded.chat([user("hi")], dataclasses.replace(GREEDY, stop=stop))
    assert caught.value.setting == "stop"


def test_statistics_add_up(loaded: InProcessBackend) -> None:
    statistics = ask(loaded, [user("hello")]).statistics
    assert statistics.prompt_tokens > statistics.reused_tokens == 0
    assert statistics.generated_tokens == GREEDY.max_tokens
    assert statistics.context_used == statistics.prompt_tokens + GREEDY.max_tokens
    assert statistics.forgotten_turns == 0
    assert 0 < statistics.sampling_s < statistics.generation_s
    assert statistics.first_token_s is not None
    assert statistics.first_token_s >= statistics.prompt_s > 0
    assert statistics.tokens_per_s > 0
    assert statistics.prompt_tokens_per_s > 0


def test_the_end_token_itself_is_not_kept(backend: InProcessBackend, tmp_path: Path) -> None:
    scripted(backend, tmp_path, b"o")
    finished = ask(backend, [user("?")], NO_PENALTY)
    assert finished.message.tokens is not None
    assert END not in finished.message.tokens.ids
