"""Kill the engine's process at random moments: the app goes on, and no conversation loses anything."""

from __future__ import annotations

import os
import random
import signal
import sys
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import psutil
import pytest

from app.chat.events import AnswerEnded, AnswerGrew, EngineChanged, Problem
from app.chat.service import ChatService
from app.history.records import Status, prompt_messages
from app.home import Home
from builders.chat_services import MakeService, Recorder
from builders.gguf_models import write_model
from engine import worker_handle
from engine.errors import EngineStopped, IllegalInstruction
from engine.in_process import InProcessBackend
from engine.partial_sampling import PartialSampling
from engine.types import Finished, LoadOptions
from engine.worker import WorkerBackend

STAGES = ("load", "prompt", "generation")
# Room for all turns: what is forgotten when the context is full depends on what one engine lived through.
LOAD = LoadOptions(threads=1, prompt_format="belle", context_tokens=16_384)
GREEDY = PartialSampling(temperature=0.0, repetition_penalty=1.0, max_tokens=60)


def both(sampling: PartialSampling) -> dict[str, PartialSampling]:
    """For both models, whichever answers."""
    return {"bloom": sampling, "llama": sampling}


class Victim:
    """A service on a real worker with two tiny models, and what is needed to kill it at a stage."""

    def __init__(self, home: Home, make_service: MakeService) -> None:
        for name in ("bloom", "llama"):
            write_model(home.models / f"{name}.gguf", architecture=name, seed=3)
        self.home = home
        self.backend = WorkerBackend()
        self.service: ChatService = make_service(lambda: self.backend)
        self.service.settings.update(default_model="bloom", model_sampling=both(GREEDY), load=LOAD)
        self.recorder = Recorder(self.service)
        self.conversation = self.service.new_conversation()

    def is_idle(self) -> bool:
        return self.service.state.answering is None and self.service.state.phase in ("ready", "failed")

    def ask(self, text: str) -> int:
        """Send, wait for what comes of it, return the question's id."""
        question = self.service.send(self.conversation, text)
        self.wait(question)
        return question

    def wait(self, question: int) -> None:
        self.recorder.wait(lambda: self.is_idle() and not self.service.queued(self.conversation))

    def has_come_to(self, stage: str, n_grown: int) -> bool:
        state = self.service.state
        if stage == "load":
            return state.phase == "loading" and self.backend.worker_pid is not None
        if stage == "prompt":
            return state.reading_prompt
        return len(self.recorder.of(AnswerGrew)) > n_grown

    def kill(self, number: int = signal.SIGKILL) -> None:
        pid = self.backend.worker_pid
        assert pid is not None
        os.kill(pid, number)
        # What is asked next may come before the death, if the answer had ended already.
        end = time.monotonic() + 20
        while psutil.pid_exists(pid):
            assert time.monotonic() < end
            time.sleep(0.01)

    def expected(self, question: int) -> str:
        """What the engine says in this process to the path up to a question."""
        path = self.service.path(self.conversation)
        end = next(index for index, entry in enumerate(path) if entry.message.id == question)
        reference = InProcessBackend()
        model = self.service.settings.settings.default_model
        reference.load(self.home.models / f"{model}.gguf", LOAD)
        plan = self.service.answer_plan(self.conversation)
        *_, finished = reference.chat(prompt_messages(plan.system, path[: end + 1]), plan.sampling)
        assert isinstance(finished, Finished)
        return finished.message.text


@pytest.fixture
def victim(home: Home, make_service: MakeService) -> Iterator[Victim]:
    victim = Victim(home, make_service)
    victim.ask("warm up")
    yield victim
    victim.service.close()
    victim.backend.close()


def check_death(victim: Victim, stage: str, seed: int) -> None:
    chance = random.Random(seed)
    service, recorder = victim.service, victim.recorder
    before = [entry.message for entry in service.path(victim.conversation)]
    if stage == "load":
        other = {"bloom": "llama", "llama": "bloom"}
        service.settings.update(default_model=other[str(service.settings.settings.default_model)])
    n_grown = len(recorder.of(AnswerGrew))
    question = service.send(victim.conversation, "word " * chance.randrange(10, 80))
    recorder.wait(lambda: victim.has_come_to(stage, n_grown) or victim.is_idle())
    time.sleep(chance.uniform(0, 0.05))
    victim.kill()
    victim.wait(question)

    path = [entry.message for entry in service.path(victim.conversation)]
    assert path[: len(before)] == before
    assert path[len(before)].id == question
    if len(path) > len(before) + 1:
        answer = path[len(before) + 1]
        whole = victim.expected(question)
        assert whole.startswith(answer.text)
        assert answer.status is Status.UNFINISHED or answer.text == whole
    after = victim.ask("and now?")
    assert service.path(victim.conversation)[-1].message.text == victim.expected(after)


def test_killing_the_worker_five_times_loses_nothing(victim: Victim) -> None:
    for seed, stage in enumerate(("load", "prompt", "generation", "prompt", "generation")):
        check_death(victim, stage, seed)


@pytest.mark.slow
@pytest.mark.timeout(3000)
def test_killing_it_a_hundred_times_loses_nothing(victim: Victim) -> None:
    for seed in range(100):
        if seed % 4 == 0:
            victim.conversation = victim.service.new_conversation()
        check_death(victim, STAGES[seed % 3], seed)


def test_the_engine_is_back_before_the_next_question(victim: Victim) -> None:
    service, recorder = victim.service, victim.recorder
    service.settings.update(model_sampling=both(replace(GREEDY, max_tokens=2_000)))  # not over too soon
    n_grown = len(recorder.of(AnswerGrew))
    question = service.send(victim.conversation, "word " * 40)
    recorder.wait(lambda: len(recorder.of(AnswerGrew)) > n_grown)
    victim.kill()
    victim.wait(question)
    service.settings.update(model_sampling=both(GREEDY))

    (problem,) = recorder.of(Problem)
    assert isinstance(problem, Problem)
    assert isinstance(problem.error, EngineStopped)
    assert service.state.phase == "ready"
    unfinished = service.path(victim.conversation)[-1].message
    assert unfinished.status is Status.UNFINISHED
    n_ended = len(recorder.of(AnswerEnded))
    service.continue_answer(unfinished.id)
    recorder.wait(lambda: len(recorder.of(AnswerEnded)) > n_ended and victim.is_idle())
    whole = service.path(victim.conversation)[-1].message
    assert whole.text.startswith(unfinished.text)
    assert whole.status is Status.LENGTH


def test_an_engine_for_another_processor_stays_off_until_it_is_asked(victim: Victim) -> None:
    service, recorder = victim.service, victim.recorder
    service.settings.update(model_sampling=both(replace(GREEDY, max_tokens=2_000)))
    first, n_grown = victim.backend.worker_pid, len(recorder.of(AnswerGrew))
    question = service.send(victim.conversation, "word " * 40)
    recorder.wait(lambda: len(recorder.of(AnswerGrew)) > n_grown)
    victim.kill(signal.SIGILL)
    victim.wait(question)

    (problem,) = recorder.of(Problem)
    assert isinstance(problem, Problem)
    assert isinstance(problem.error, IllegalInstruction)
    assert (service.state.phase, service.state.error) == ("failed", problem.error)
    assert "restarting" not in [event.state.phase for event in recorder.of(EngineChanged)]
    assert victim.backend.worker_pid == first
    assert service.path(victim.conversation)[-1].message.status is Status.UNFINISHED
    service.settings.update(model_sampling=both(GREEDY))
    question = victim.ask("and now?")
    assert service.path(victim.conversation)[-1].message.text == victim.expected(question)


def test_an_engine_that_can_not_even_load_is_started_once_a_question(
    victim: Victim, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    starts = tmp_path / "starts"
    code = f"import signal; print(file=open({str(starts)!r}, 'a')); signal.raise_signal(signal.SIGILL)"
    monkeypatch.setattr(worker_handle, "worker_command", lambda: [sys.executable, "-c", code])
    victim.kill(signal.SIGILL)
    for number in (1, 2):
        victim.ask("still there?")

        assert isinstance(victim.service.state.error, IllegalInstruction)
        assert victim.service.state.phase == "failed"
        assert starts.read_text() == "\n" * number


def test_a_model_that_aborts_is_refused_and_another_one_works(victim: Victim, tmp_path: Path) -> None:
    from builders.gguf_models import Vocabulary, byte_vocabulary

    vocabulary = byte_vocabulary()
    tokens = (*vocabulary.tokens[:20], vocabulary.tokens[21], *vocabulary.tokens[21:])
    write_model(
        victim.home.models / "bad.gguf", vocabulary=Vocabulary(tokens, vocabulary.merges, vocabulary.ids)
    )
    victim.service.choose_model("bad")
    victim.recorder.wait(lambda: victim.service.state.phase == "failed")

    assert isinstance(victim.service.state.error, EngineStopped)
    victim.service.choose_model("bloom")
    victim.recorder.wait(lambda: victim.service.state.phase == "ready")
    question = victim.ask("still there?")
    assert victim.service.path(victim.conversation)[-1].message.text == victim.expected(question)
