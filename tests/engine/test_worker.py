"""The engine's process: what kills it kills nothing else, and it never outlives who started it."""

from __future__ import annotations

import io
import logging
import os
import random
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from importlib.metadata import version
from pathlib import Path

import gguf
import psutil
import pytest

from builders.chats import GREEDY, ask, user
from builders.gguf_models import Vocabulary, byte_vocabulary, write_model
from engine import worker_handle
from engine.backends import make_backend
from engine.deaths import explained
from engine.errors import (
    EngineKeepsStopping,
    EngineStopped,
    GenerationFailed,
    IllegalInstruction,
    NoModelLoaded,
)
from engine.in_process import InProcessBackend
from engine.types import (
    Event,
    Finished,
    FinishReason,
    LoadOptions,
    Message,
    Sampling,
    Statistics,
    ThoughtChunk,
    TokenChunk,
    TokenIds,
)
from engine.worker import WorkerBackend
from engine.worker_process import EXIT_PROTOCOL, Worker
from engine.worker_protocol import (
    REPORTS,
    VERSION,
    Chat,
    Ended,
    Failed,
    Hello,
    Piece,
    Report,
    ThoughtPiece,
    frame,
    read_frame,
)
from engine.worker_protocol import finished as finished_of
from engine.worker_start import worker_command, worker_environment

ROOT = Path(__file__).resolve().parents[2]
OPTIONS = LoadOptions(prompt_format="belle", threads=1)
LONG = Sampling(temperature=0, max_tokens=400)
# 400 tokens take 50 ms, and may be over before anything happens to it; bloom.gguf says thousands to "two".
ROOMY = LoadOptions(prompt_format="belle", threads=1, context_tokens=16_384)
LONGEST = Sampling(temperature=0, max_tokens=16_000)
STATISTICS = Statistics(1, 0, 4, 0.0, 0.0, None, 5, 512, 0, 7, thought_tokens=3, thought_s=0.5)


@pytest.fixture
def worker() -> Iterator[WorkerBackend]:
    backend = WorkerBackend()
    yield backend
    backend.close()


@pytest.fixture
def loaded(worker: WorkerBackend, models: Path) -> WorkerBackend:
    worker.load(models / "bloom.gguf", OPTIONS)
    return worker


def pid_of(backend: WorkerBackend) -> int:
    assert backend.worker_pid is not None
    return backend.worker_pid


def kill(backend: WorkerBackend, number: int = signal.SIGKILL) -> None:
    os.kill(pid_of(backend), number)


def is_gone(pid: int) -> bool:
    try:
        return psutil.Process(pid).status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True


def wait_until(condition: Callable[[], bool], timeout_s: float) -> bool:
    end = time.monotonic() + timeout_s
    while not condition() and time.monotonic() < end:
        time.sleep(0.02)
    return condition()


# --- pieces -----------------------------------------------------------------------------------------


def test_what_comes_quickly_travels_together(loaded: WorkerBackend) -> None:
    *chunks, finished = loaded.chat([user("two")], LONG)

    assert isinstance(finished, Finished)
    assert 1 < len(chunks) < finished.statistics.generated_tokens
    texts = [chunk.text for chunk in chunks if isinstance(chunk, TokenChunk)]
    assert "".join(texts) == finished.message.text


def test_what_was_written_before_a_failure_arrives() -> None:
    seen: list[Report] = []
    process = Worker(io.BytesIO(), io.BytesIO())
    process.send = seen.append  # type: ignore[method-assign]

    class Failing:
        def chat(self, _messages: object, _sampling: object) -> Iterator[TokenChunk]:
            yield TokenChunk("one")
            yield TokenChunk(" two")
            raise GenerationFailed(-3)

    process.carry_out(Chat(7, (), GREEDY), Failing())  # type: ignore[arg-type]

    assert "".join(report.text for report in seen if isinstance(report, Piece)) == "one two"
    assert isinstance(seen[-1], Failed)


def test_thoughts_and_answers_travel_apart_and_in_order() -> None:
    seen: list[Report] = []
    process = Worker(io.BytesIO(), io.BytesIO())
    process.send = seen.append  # type: ignore[method-assign]
    message = Message("assistant", "four", TokenIds("v", (4,)), "hm, hm")
    told = Finished(FinishReason.END, message, STATISTICS)

    class Thinking:
        def chat(self, _messages: object, _sampling: object) -> Iterator[Event]:
            yield from map(ThoughtChunk, ("hm", ",", " hm"))
            yield from map(TokenChunk, ("fo", "ur"))
            yield told

    process.carry_out(Chat(7, (), GREEDY), Thinking())  # type: ignore[arg-type]

    *pieces, end = seen
    kinds = [type(piece) for piece in pieces]
    assert sorted(kinds, key=kinds.index) == kinds
    for kind, text in ((ThoughtPiece, "hm, hm"), (Piece, "four")):
        assert "".join(piece.text for piece in pieces if isinstance(piece, kind)) == text
    assert isinstance(end, Ended)
    assert read_frame(io.BytesIO(frame(end)).read, REPORTS) == end
    assert finished_of(end) == told


# --- deaths -----------------------------------------------------------------------------------------


def test_a_death_while_answering_is_told_and_the_next_question_works(
    worker: WorkerBackend, models: Path
) -> None:
    worker.load(models / "bloom.gguf", ROOMY)
    events = worker.chat([user("two")], LONGEST)
    assert isinstance(next(events), TokenChunk)
    kill(worker)

    with pytest.raises(EngineStopped) as caught:
        list(events)
    assert caught.value.exit_code == -signal.SIGKILL
    assert caught.value.reason == "SIGKILL"
    reference = InProcessBackend()
    reference.load(models / "bloom.gguf", ROOMY)
    assert ask(worker, [user("one")]).message == ask(reference, [user("one")]).message


def test_a_death_between_questions_goes_unnoticed(loaded: WorkerBackend) -> None:
    first = pid_of(loaded)
    kill(loaded)
    # Not just a zombie, some of whose threads may still be ending.
    assert wait_until(lambda: not psutil.pid_exists(first), 5)

    assert ask(loaded, [user("one")]).message.text
    assert pid_of(loaded) != first


def test_a_death_while_loading_is_told_and_leaves_no_model(worker: WorkerBackend, models: Path) -> None:
    def kill_soon() -> None:
        assert wait_until(lambda: worker.worker_pid is not None, 5)
        kill(worker)

    threading.Thread(target=kill_soon).start()
    with pytest.raises(EngineStopped):
        worker.load(models / "bloom.gguf", OPTIONS)

    with pytest.raises(NoModelLoaded):
        worker.chat([user("one")], GREEDY)
    worker.load(models / "bloom.gguf", OPTIONS)
    assert ask(worker, [user("one")]).message.text


def test_a_model_that_keeps_killing_is_given_up_until_asked_for_again(
    worker: WorkerBackend, tmp_path: Path
) -> None:
    path = write_duplicate_tokens(tmp_path / "死.gguf")
    for _ in range(3):
        with pytest.raises(EngineStopped):
            worker.load(path, OPTIONS)

    with pytest.raises(EngineKeepsStopping) as caught:
        worker.load(path, OPTIONS)
    assert caught.value.path == path
    assert caught.value.n_times == 3
    assert "GGML_ASSERT" in caught.value.reason
    with pytest.raises(EngineStopped):
        worker.load(path, OPTIONS)


def test_a_missing_instruction_is_told_as_what_it_is(worker: WorkerBackend, models: Path) -> None:
    worker.load(models / "bloom.gguf", ROOMY)
    events = worker.chat([user("two")], LONGEST)
    next(events)
    first = pid_of(worker)
    kill(worker, signal.SIGILL)

    with pytest.raises(IllegalInstruction) as caught:
        list(events)
    assert caught.value.release == version("llama-cpp-python")
    assert pid_of(worker) == first
    assert ask(worker, [user("one")]).message.text


def test_a_missing_instruction_while_loading_is_told_as_well(
    models: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    code = "import signal; signal.raise_signal(signal.SIGILL)"
    monkeypatch.setattr(worker_handle, "worker_command", lambda: [sys.executable, "-c", code])
    with pytest.raises(IllegalInstruction):
        WorkerBackend().load(models / "bloom.gguf", OPTIONS)


def test_windows_says_it_with_a_code_of_its_own() -> None:
    assert isinstance(explained(EngineStopped("0xC000001D", 0xC000001D, "")), IllegalInstruction)
    crash = EngineStopped("0xC0000005", 0xC0000005, "")
    assert explained(crash) is crash


def check_random_death(backend: WorkerBackend, models: Path, seed: int) -> None:
    """Kill at a random moment of load, prompt or generation; afterwards everything is right."""
    chance = random.Random(seed)
    path = models / chance.choice(["bloom.gguf", "llama.gguf"])
    timer = threading.Timer(chance.uniform(0, 0.6), lambda: kill(backend))
    timer.start()
    text = ""
    try:
        backend.load(path, OPTIONS)
        for event in backend.chat([user("word " * 60)], LONG):
            text += event.text if isinstance(event, TokenChunk) else ""
    except EngineStopped:
        pass
    timer.join()
    reference = InProcessBackend()
    reference.load(path, OPTIONS)
    assert ask(reference, [user("word " * 60)], LONG).message.text.startswith(text)
    backend.load(path, OPTIONS)
    assert ask(backend, [user("one")]).message == ask(reference, [user("one")]).message


@pytest.mark.parametrize("seed", range(3))
def test_deaths_at_random_moments(loaded: WorkerBackend, models: Path, seed: int) -> None:
    check_random_death(loaded, models, seed)


@pytest.mark.slow
@pytest.mark.timeout(1200)
def test_a_hundred_deaths_at_random_moments(loaded: WorkerBackend, models: Path) -> None:
    for seed in range(100, 200):
        check_random_death(loaded, models, seed)


def test_a_worker_without_a_sign_of_life_is_ended(models: Path) -> None:
    backend = WorkerBackend(silence_limit_s=2)
    backend.load(models / "bloom.gguf", ROOMY)
    events = backend.chat([user("two")], LONGEST)
    next(events)
    kill(backend, signal.SIGSTOP)

    with pytest.raises(EngineStopped, match="no sign of life for 2 s"):
        list(events)
    assert ask(backend, [user("one")]).message.text
    backend.close()


# --- models that abort llama.cpp ----------------------------------------------------------------------


def write_duplicate_tokens(path: Path) -> Path:
    """llama.cpp asserts that all token texts differ, unlike the checks before it."""
    vocabulary = byte_vocabulary()
    tokens = [*vocabulary.tokens[:20], vocabulary.tokens[21], *vocabulary.tokens[21:]]
    return write_model(path, vocabulary=Vocabulary(tuple(tokens), vocabulary.merges, vocabulary.ids))


def write_sentencepiece_without_bytes(path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """llama.cpp looks up byte tokens without asking whether they exist: a C++ exception that nobody takes."""
    add_model = gguf.GGUFWriter.add_tokenizer_model
    monkeypatch.setattr(gguf.GGUFWriter, "add_tokenizer_model", lambda self, _model: add_model(self, "llama"))
    vocabulary = byte_vocabulary()
    tokens = [*vocabulary.tokens[:4], *(f"xx{number}" for number in range(256)), *vocabulary.tokens[260:]]
    return write_model(path, architecture="llama", vocabulary=Vocabulary(tuple(tokens), (), vocabulary.ids))


def test_an_assertion_of_llama_cpp_ends_only_the_worker(
    loaded: WorkerBackend, models: Path, tmp_path: Path
) -> None:
    with pytest.raises(EngineStopped) as caught:
        loaded.load(write_duplicate_tokens(tmp_path / "twice.gguf"), OPTIONS)

    assert caught.value.exit_code == -signal.SIGABRT
    assert caught.value.reason.startswith("SIGABRT: llama-vocab.cpp:")
    loaded.load(models / "bloom.gguf", OPTIONS)
    assert ask(loaded, [user("one")]).message.text


def test_a_cpp_exception_ends_only_the_worker(
    worker: WorkerBackend, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = write_sentencepiece_without_bytes(tmp_path / "bytes.gguf", monkeypatch)

    def load_and_ask() -> None:
        worker.load(path, OPTIONS)
        ask(worker, [user("one")])

    with pytest.raises(EngineStopped, match="unordered_map"):
        load_and_ask()


def test_a_file_that_shrinks_under_a_loaded_model_ends_only_the_worker(
    worker: WorkerBackend, tmp_path: Path, models: Path
) -> None:
    path = tmp_path / "model.gguf"
    path.write_bytes((models / "bloom.gguf").read_bytes())
    worker.load(path, OPTIONS)
    os.truncate(path, 4096)

    with pytest.raises(EngineStopped, match="SIGBUS"):
        ask(worker, [user("one")])


# --- never longer than its parent -----------------------------------------------------------------------

PARENT = """
import sys, time
from pathlib import Path
from engine.types import LoadOptions, Message, Sampling
from engine.worker import WorkerBackend
backend = WorkerBackend()
backend.load(Path(sys.argv[1]), LoadOptions(threads=1, context_tokens=8192, prompt_format="belle"))
print(backend.worker_pid, flush=True)
while sys.argv[2] == "busy":
    list(backend.chat([Message("user", "word " * 1500 + str(time.time()))], Sampling(temperature=0)))
time.sleep(60)
"""


@pytest.mark.parametrize("state", ["busy", "stopped"])
def test_a_worker_is_gone_two_seconds_after_its_parent(models: Path, state: str) -> None:
    parent = subprocess.Popen(
        [sys.executable, "-c", PARENT, str(models / "llama.gguf"), state],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert parent.stdout is not None
    pid = int(parent.stdout.readline())
    assert os.getsid(pid) != os.getsid(0)  # Ctrl-C in the parent's terminal is not for the worker
    time.sleep(0.3)
    if state == "stopped":
        os.kill(pid, signal.SIGSTOP)
    parent.kill()
    parent.wait()

    assert wait_until(lambda: is_gone(pid), 2)


def test_a_backend_that_is_forgotten_takes_its_worker_along(models: Path) -> None:
    backend = WorkerBackend()
    backend.load(models / "bloom.gguf", OPTIONS)
    pid = pid_of(backend)
    del backend

    assert wait_until(lambda: is_gone(pid), 5)


# --- starting -----------------------------------------------------------------------------------------


def test_a_frozen_app_starts_itself_as_the_worker(
    models: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    program = tmp_path / "chatbelle"
    code = f"import sys; sys.path.insert(0, {str(ROOT)!r}); from app.cli import main; sys.exit(main())"
    program.write_text(f'#!/bin/sh\nexec {sys.executable} -c "{code}" "$@"\n')
    program.chmod(0o755)
    monkeypatch.setattr(sys, "frozen", True, raising=False)
    monkeypatch.setattr(sys, "executable", str(program))
    backend = WorkerBackend()
    backend.load(models / "bloom.gguf", OPTIONS)

    assert ask(backend, [user("one")]).message.text
    backend.close()


def test_a_program_that_cannot_be_started_is_told(models: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(worker_handle, "worker_command", lambda: ["/nowhere/python"])

    with pytest.raises(EngineStopped, match="/nowhere/python"):
        WorkerBackend().load(models / "bloom.gguf", OPTIONS)


@pytest.mark.parametrize("platform", ["android", "ios"])
def test_phones_have_the_engine_in_this_process(platform: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FLET_PLATFORM", platform)
    assert isinstance(make_backend(), InProcessBackend)


def test_desktops_have_it_in_its_own() -> None:
    assert isinstance(make_backend(), WorkerBackend)


def test_native_log_lines_reach_our_log(
    worker: WorkerBackend, models: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.DEBUG, "engine"):
        worker.load(models / "bloom.gguf", OPTIONS)

    assert any(record.name == "engine.native" for record in caplog.records)


# --- hostile bytes --------------------------------------------------------------------------------------


def worker_given(data: bytes) -> subprocess.CompletedProcess[bytes]:
    return subprocess.run(
        worker_command(), env=worker_environment(), input=data, capture_output=True, timeout=30
    )


@pytest.mark.parametrize(
    "data",
    [
        b"\xff\xff\xff\xff",
        b"\x05\x00\x00\x00hello",
        b"\x02\x00\x00\x00[]",
        b"\x20\x00\x00\x00{}",
        frame(Hello(VERSION + 1, 0)),
        frame(Hello(VERSION, 30)) + frame(Hello(VERSION, 30)),
    ],
    ids=["length", "no json", "no object", "cut", "version", "again"],
)
def test_a_worker_ends_at_bytes_that_are_no_request(data: bytes) -> None:
    ended = worker_given(data)

    assert ended.returncode in (0, EXIT_PROTOCOL)
    assert ended.returncode == EXIT_PROTOCOL or data.startswith(frame(Hello(VERSION, 30)))


def test_a_worker_whose_input_ends_just_ends() -> None:
    assert worker_given(b"").returncode == 0


@pytest.mark.parametrize(
    "output",
    [
        b"\xff\xff\xff\xff",
        b"Hello, world. This library prints.",
        b'\x0e\x00\x00\x00{"type":"Odd"}',
        b'\x23\x00\x00\x00{"type":"Ready","version":1000000}  ',
        b"\x10\x00\x00\x00" + b"[" * 16,
    ],
    ids=["length", "text", "kind", "version", "nesting"],
)
def test_bytes_that_are_no_report_end_the_worker(
    output: bytes, models: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    code = f"import sys, time; sys.stdout.buffer.write({output!r}); sys.stdout.flush(); time.sleep(60)"
    monkeypatch.setattr(worker_handle, "worker_command", lambda: [sys.executable, "-c", code])
    backend = WorkerBackend()

    with pytest.raises(EngineStopped, match="unintelligible"):
        backend.load(models / "bloom.gguf", OPTIONS)
    assert backend.worker_pid is not None
    assert wait_until(lambda: is_gone(pid_of(backend)), 5)
