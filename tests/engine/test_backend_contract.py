"""What every backend does alike: in this process, and in a worker."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from builders.chats import GREEDY, ask, user
from engine.backend import Backend
from engine.errors import (
    EngineBusy,
    InvalidConversation,
    InvalidSampling,
    ModelFileMissing,
    NoModelLoaded,
    NotGguf,
    PromptTooLong,
    UnknownPromptFormat,
)
from engine.in_process import InProcessBackend
from engine.types import FinishReason, LoadOptions, Message, Sampling, TokenChunk
from engine.worker import WorkerBackend

OPTIONS = LoadOptions(prompt_format="belle", threads=1)
LONG = Sampling(temperature=0, max_tokens=400)
# 400 tokens take 50 ms, and may be over before it is cancelled; bloom.gguf says thousands to "two".
ROOMY = LoadOptions(prompt_format="belle", threads=1, context_tokens=16_384)
LONGEST = Sampling(temperature=0, max_tokens=16_000)


@pytest.fixture(scope="module", params=["in-process", "worker"])
def shared(request: pytest.FixtureRequest) -> Iterator[Backend]:
    """One backend of each kind for all tests: a worker takes half a second to start."""
    backend = WorkerBackend() if request.param == "worker" else InProcessBackend()
    yield backend
    backend.unload()
    if isinstance(backend, WorkerBackend):
        backend.close()


@pytest.fixture
def backend(shared: Backend) -> Iterator[Backend]:
    yield shared
    shared.unload()


@pytest.fixture
def loaded(backend: Backend, models: Path) -> Backend:
    backend.load(models / "bloom.gguf", OPTIONS)
    return backend


def test_answers_are_those_of_a_backend_in_this_process(loaded: Backend, models: Path) -> None:
    reference = InProcessBackend()
    info = reference.load(models / "bloom.gguf", OPTIONS)

    assert loaded.load(models / "bloom.gguf", OPTIONS) == info
    question = user("你好 \U0001f600\n\nHuman: \x00 half")
    assert ask(loaded, [question]).message == ask(reference, [question]).message


def test_loading_tells_how_far_it_is(backend: Backend, models: Path) -> None:
    shares: list[float] = []
    backend.load(models / "bloom.gguf", OPTIONS, shares.append)

    assert shares[-1] == 1
    assert shares == sorted(shares)


def test_token_ids_come_along_and_are_used_again(loaded: Backend) -> None:
    first = ask(loaded, [user("one")])
    second = ask(loaded, [user("one"), first.message, user("two")])

    assert first.message.tokens is not None
    assert second.statistics.reused_tokens == first.statistics.context_used - 1


def test_a_begun_answer_is_continued(loaded: Backend) -> None:
    whole = ask(loaded, [user("one")])
    begun = ask(loaded, [user("one")], Sampling(temperature=0, max_tokens=5))
    rest = ask(loaded, [user("one"), begun.message], Sampling(temperature=0, max_tokens=19))

    assert begun.reason is FinishReason.LENGTH
    assert rest.message == whole.message


def test_cancel_from_another_thread(backend: Backend, models: Path) -> None:
    backend.load(models / "bloom.gguf", ROOMY)
    events = backend.chat([user("two")], LONGEST)
    next(events)
    threading.Thread(target=backend.cancel).start()
    *_, finished = events

    assert not isinstance(finished, TokenChunk)
    assert finished.reason is FinishReason.CANCELLED
    assert ask(backend, [user("one")]).reason is FinishReason.LENGTH


def test_cancel_before_the_first_event(loaded: Backend) -> None:
    events = loaded.chat([user("one")], LONG)
    loaded.cancel()

    assert [type(event).__name__ for event in events] == ["Finished"]


def test_cancel_while_the_prompt_is_read(backend: Backend, models: Path) -> None:
    backend.load(models / "llama.gguf", LoadOptions(8192, 1, prompt_format="belle"))
    threading.Timer(0.3, backend.cancel).start()

    finished = ask(backend, [user("word " * 1500)], LONG)

    assert finished.reason is FinishReason.CANCELLED


def test_closing_the_iterator_makes_room_for_the_next(loaded: Backend) -> None:
    expected = ask(loaded, [user("two")]).message
    events = loaded.chat([user("one")], LONG)
    next(events)
    events.close()  # type: ignore[attr-defined]

    assert ask(loaded, [user("two")]).message == expected


def test_one_answer_at_a_time(loaded: Backend) -> None:
    events = loaded.chat([user("one")], LONG)
    next(events)

    with pytest.raises(EngineBusy):
        loaded.chat([user("two")], GREEDY)


def test_unloading_ends_a_running_answer(loaded: Backend) -> None:
    events = loaded.chat([user("one")], LONG)
    next(events)
    loaded.unload()

    with pytest.raises(NoModelLoaded):
        list(events)
    with pytest.raises(NoModelLoaded):
        loaded.chat([user("two")], GREEDY)


def test_a_load_that_fails_leaves_no_model(loaded: Backend, tmp_path: Path) -> None:
    other = tmp_path / "不是.gguf"
    other.write_bytes(b"none and so on")

    with pytest.raises(NotGguf) as caught:
        loaded.load(other, OPTIONS)

    assert caught.value.path == other
    with pytest.raises(NoModelLoaded):
        loaded.chat([user("two")], GREEDY)


def test_errors_arrive_with_their_fields(loaded: Backend, models: Path) -> None:
    missing = models / "缺\udcff.gguf"  # as a file name that is not UTF-8 reads
    with pytest.raises(ModelFileMissing) as caught:
        loaded.load(missing, OPTIONS)
    assert caught.value.path == missing
    assert caught.value.reason

    with pytest.raises(UnknownPromptFormat) as unknown:
        loaded.load(models / "bloom.gguf", LoadOptions(prompt_format="alpaca"))
    assert unknown.value.name == "alpaca"
    assert "belle" in unknown.value.known


def test_an_error_while_answering_leaves_the_engine_usable(loaded: Backend) -> None:
    with pytest.raises(PromptTooLong) as caught:
        list(loaded.chat([user("长" * 4000)], GREEDY))

    assert caught.value.context_tokens == 512
    assert ask(loaded, [user("one")]).message.text


def test_what_can_be_refused_at_once_is(loaded: Backend) -> None:
    with pytest.raises(InvalidConversation):
        loaded.chat([Message("assistant", "hello")], GREEDY)
    with pytest.raises(InvalidSampling) as caught:
        loaded.chat([user("one")], Sampling(temperature=float("nan")))
    assert caught.value.setting == "temperature"


def test_unload_and_cancel_are_harmless_when_nothing_is_there(backend: Backend) -> None:
    backend.cancel()
    backend.unload()
    backend.unload()
