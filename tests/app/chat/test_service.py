"""Questions, answers, branches, the queue and the engine's state, on a fake engine."""

from __future__ import annotations

import shutil
import threading
import time
from dataclasses import replace
from pathlib import Path

import pytest

from app.chat.choices import DEMO, find_choice
from app.chat.events import AnswerEnded, AnswerGrew, EngineChanged, Problem, QueueChanged
from app.chat.service import ChatService
from app.demo_model import DEMO_SAMPLING
from app.errors import ModelNotFound
from app.history.errors import MessageMissing
from app.history.records import Overrides, Status
from app.home import Home
from app.models.finding import open_library
from builders.chat_services import MakeService, Recorder
from builders.fake_backend import INFO, FakeBackend
from builders.gguf_models import write_model
from engine.backend import Progress, untold
from engine.errors import AnswerFillsContext, EngineStopped, NotEnoughMemory, PromptTooLong
from engine.models.model_sampling import resolve_for
from engine.partial_sampling import PartialSampling, Source
from engine.types import FinishReason, LoadOptions, Message, ModelInfo

Busy = tuple[ChatService, Recorder, FakeBackend]


def idle(service: ChatService) -> bool:
    return service.state.answering is None and not service.queued(1)


def texts(service: ChatService, conversation_id: int) -> list[str]:
    return [entry.message.text for entry in service.path(conversation_id)]


def ask(service: ChatService, recorder: Recorder, conversation_id: int, text: str) -> int:
    """Send and wait for the end of the answer; returns the answer's id."""
    n_ended = len(recorder.of(AnswerEnded))
    service.send(conversation_id, text)
    recorder.wait(lambda: len(recorder.of(AnswerEnded)) > n_ended and idle(service))
    return service.path(conversation_id)[-1].message.id


# --- asking -----------------------------------------------------------------------------------------


def test_an_answer_streams_and_is_kept_with_what_made_it(
    service: ChatService, fake: FakeBackend, recorder: Recorder
) -> None:
    conversation = service.new_conversation()
    answer_id = ask(service, recorder, conversation, "你好")

    question, answer = (entry.message for entry in service.path(conversation))
    assert (question.text, answer.text, answer.status) == ("你好", "echo: 你好", Status.COMPLETE)
    assert answer.statistics is not None
    assert answer.origin is not None
    assert (answer.origin.model, answer.origin.quantization) == (INFO.name, INFO.quantization)
    grown = [event for event in recorder.of(AnswerGrew) if event.message_id == answer_id]
    assert "".join(event.text for event in grown) == answer.text
    assert service.history.conversations.get(conversation).title == "你好"
    assert service.context_use(conversation) == (13, 1024)
    assert fake.asked[0][0] == [Message("user", "你好")]


def test_the_question_is_on_disk_before_the_engine_is_asked(service: ChatService, fake: FakeBackend) -> None:
    held = threading.Event()
    fake.load = lambda *_: held.wait(10) and INFO  # type: ignore[method-assign,assignment]
    conversation = service.new_conversation()
    question_id = service.send(conversation, "safe?")

    assert service.history.messages.get(question_id).text == "safe?"
    held.set()


def test_live_text_is_merged_before_it_is_on_disk(service: ChatService, recorder: Recorder) -> None:
    seen: list[tuple[str, str]] = []

    def look(event: object) -> None:
        if isinstance(event, AnswerGrew):
            live = texts(service, event.conversation_id)[-1]
            seen.append((live[event.offset :], event.text))

    service.subscribe(look)
    ask(service, recorder, service.new_conversation(), "a")

    assert seen
    assert all(live == told for live, told in seen)


def test_the_next_question_brings_the_whole_path(
    service: ChatService, fake: FakeBackend, recorder: Recorder
) -> None:
    conversation = service.new_conversation("teacher")
    ask(service, recorder, conversation, "one")
    ask(service, recorder, conversation, "two")

    roles = [message.role for message in fake.asked[1][0]]
    assert roles == ["system", "user", "assistant", "user"]
    assert fake.asked[1][0][0].text == service.personas.get("teacher", "en").system
    assert fake.asked[1][1] == service.answer_plan(conversation).sampling


def test_an_empty_conversation_is_made_once_and_not_kept(service: ChatService, home: Home) -> None:
    first = service.new_conversation()
    assert service.new_conversation("coder") == first
    assert service.history.conversations.get(first).overrides.persona == "coder"
    service.close()

    from app.history.store import HistoryStore

    with HistoryStore.open(home.history) as history:
        assert history.conversations.page().conversations == ()


# --- stopping, continuing, again ----------------------------------------------------------------------


def test_stop_keeps_what_there_is_and_continue_goes_on(make_service: MakeService) -> None:
    fake = FakeBackend([["one ", *["more "] * 200], ["rest"]], delay_s=0.02)
    service = make_service(lambda: fake)
    recorder = Recorder(service)
    conversation = service.new_conversation()
    service.send(conversation, "count")
    recorder.wait(lambda: recorder.of(AnswerGrew))
    service.stop()
    recorder.wait(lambda: idle(service))

    stopped = service.path(conversation)[-1].message
    assert stopped.status is Status.STOPPED
    assert stopped.text.startswith("one ")
    service.continue_answer(stopped.id)
    recorder.wait(lambda: len(recorder.of(AnswerEnded)) == 2 and idle(service))
    assert fake.asked[1][0][-1].text == stopped.text
    assert service.path(conversation)[-1].message.id == stopped.id


def test_a_continuation_that_fails_leaves_the_answer_as_it_was(make_service: MakeService) -> None:
    error = AnswerFillsContext(160, 120, 160)
    service = make_service(lambda: FakeBackend([["one", " two"], error], reason=FinishReason.CONTEXT))
    recorder = Recorder(service)
    conversation = service.new_conversation()
    answer_id = ask(service, recorder, conversation, "count")
    before = service.path(conversation)[-1].message
    assert before.status is Status.LENGTH
    service.continue_answer(answer_id)
    recorder.wait(lambda: len(recorder.of(AnswerEnded)) == 2 and idle(service))

    assert Problem(conversation, error) in recorder.events
    assert service.path(conversation)[-1].message == before
    assert service.context_use(conversation) == (14, 1024)


def test_a_continuation_stopped_before_its_first_word_leaves_the_answer_as_it_was(
    make_service: MakeService,
) -> None:
    fake = FakeBackend([["one"], ["more"]], reason=FinishReason.LENGTH)
    service = make_service(lambda: fake)
    recorder = Recorder(service)
    conversation = service.new_conversation()
    answer_id = ask(service, recorder, conversation, "count")
    before = service.path(conversation)[-1].message
    fake._delay_s = 60.0  # noqa: SLF001 - until it is cancelled
    service.continue_answer(answer_id)
    recorder.wait(lambda: len(fake.asked) == 2)
    going_on = service.path(conversation)[-1].message
    assert (going_on.status, going_on.text) == (Status.STREAMING, "one")
    service.stop()
    recorder.wait(lambda: len(recorder.of(AnswerEnded)) == 2 and idle(service))

    assert service.path(conversation)[-1].message == before


def test_regenerating_keeps_the_other_answer(service: ChatService, recorder: Recorder) -> None:
    conversation = service.new_conversation()
    first = ask(service, recorder, conversation, "one")
    service.regenerate(first)
    recorder.wait(lambda: len(recorder.of(AnswerEnded)) == 2 and idle(service))

    shown = service.path(conversation)[-1]
    assert (shown.number, len(shown.sibling_ids)) == (2, 2)
    service.select_branch(first)
    assert service.path(conversation)[-1].message.id == first


def test_editing_asks_on_a_branch_of_its_own(
    service: ChatService, fake: FakeBackend, recorder: Recorder
) -> None:
    conversation = service.new_conversation()
    ask(service, recorder, conversation, "one")
    question = service.path(conversation)[0].message.id
    service.edit_question(question, "another")
    recorder.wait(lambda: len(recorder.of(AnswerEnded)) == 2 and idle(service))

    assert texts(service, conversation) == ["another", "echo: another"]
    assert len(fake.asked[1][0]) == 1


def test_deleting_can_be_undone(service: ChatService, recorder: Recorder) -> None:
    conversation = service.new_conversation()
    answer = ask(service, recorder, conversation, "one")
    token = service.delete_message(answer)
    assert texts(service, conversation) == ["one"]
    service.undo(token)
    assert texts(service, conversation) == ["one", "echo: one"]


# --- the queue --------------------------------------------------------------------------------------


@pytest.fixture
def busy(make_service: MakeService) -> Busy:
    """A service that is answering in conversation 1 until it is stopped."""
    fake = FakeBackend([["word "] * 1000], delay_s=0.02)
    service = make_service(lambda: fake)
    recorder = Recorder(service)
    service.send(service.new_conversation(), "long")
    recorder.wait(lambda: recorder.of(AnswerGrew))
    return service, recorder, fake


def test_questions_wait_visibly_and_are_answered_in_turn(busy: Busy) -> None:
    service, recorder, _ = busy
    here = service.send(1, "next")
    other = service.new_conversation()
    there = service.send(other, "elsewhere")

    assert service.queued(1) == (here,)
    assert service.queued(other) == (there,)
    assert QueueChanged(1) in recorder.events
    service.stop()
    recorder.wait(lambda: len(recorder.of(AnswerEnded)) == 3 and idle(service))
    assert texts(service, 1)[-1] == "echo: next"
    assert texts(service, other) == ["elsewhere", "echo: elsewhere"]


def test_questions_that_follow_a_waiting_one_are_answered_with_it(busy: Busy) -> None:
    service, recorder, fake = busy
    service.send(1, "first")
    last = service.send(1, "second")

    assert service.queued(1) == (last,)
    service.stop()
    recorder.wait(lambda: len(recorder.of(AnswerEnded)) == 2 and idle(service))
    assert texts(service, 1)[-3:] == ["first", "second", "echo: first\n\nsecond"]


def test_a_question_that_waits_can_be_taken_back(busy: Busy) -> None:
    service, recorder, fake = busy
    question = service.send(1, "never mind")

    assert service.cancel_queued(question)
    assert not service.cancel_queued(question)
    service.stop()
    recorder.wait(lambda: idle(service))
    assert len(fake.asked) == 1
    assert "never mind" not in texts(service, 1)


def test_deleting_the_question_ends_its_answer(busy: Busy) -> None:
    service, recorder, _ = busy
    question = service.path(1)[0].message.id
    waiting = service.send(1, "and then")
    service.delete_message(question)
    recorder.wait(lambda: service.state.answering is None)

    assert service.queued(1) == ()
    assert texts(service, 1) == []
    with pytest.raises(MessageMissing):
        service.history.messages.get(waiting)


def test_a_question_asked_while_the_model_loads_joins_the_one_before(make_service: MakeService) -> None:
    fake, held = FakeBackend(), threading.Event()
    load = fake.load
    fake.load = lambda *given: (held.wait(10), load(*given))[1]  # type: ignore[method-assign]
    service = make_service(lambda: fake)
    recorder = Recorder(service)
    conversation = service.new_conversation()
    service.send(conversation, "first")
    recorder.wait(lambda: service.state.phase == "loading")
    service.send(conversation, "second")
    held.set()
    recorder.wait(lambda: recorder.of(AnswerEnded) and idle(service))

    assert texts(service, conversation) == ["first", "second", "echo: first\n\nsecond"]


def test_closing_saves_the_answer_as_unfinished_and_drops_the_queue(busy: Busy, home: Home) -> None:
    service, _, fake = busy
    service.send(1, "waiting")
    service.close()

    from app.history.store import HistoryStore

    with HistoryStore.open(home.history) as history:
        question, answer, waiting = (entry.message for entry in history.messages.path(1))
        assert history.report.recovered_answers == 0
    assert answer.status is Status.UNFINISHED
    assert answer.text.startswith("word ")
    assert waiting.text == "waiting"
    assert not fake.is_loaded


# --- models and errors --------------------------------------------------------------------------------


def test_models_are_the_demo_and_the_folder(service: ChatService, home: Home, tmp_path: Path) -> None:
    elsewhere = tmp_path / "别处.gguf"
    elsewhere.write_bytes(b"GGUF")
    service.settings.update(default_model=str(elsewhere))

    assert [choice.key for choice in service.models()] == ["demo", "模型", str(elsewhere)]
    assert [choice.size_bytes for choice in service.models()] == [None, 4, 4]


def test_choosing_a_model_loads_and_remembers_it(
    service: ChatService, home: Home, fake: FakeBackend, recorder: Recorder
) -> None:
    (home.models / "other.gguf").write_bytes(b"GGUF")
    service.choose_model("other")
    recorder.wait(lambda: service.state.phase == "ready")

    assert fake.loaded[-1][0] == home.models / "other.gguf"
    assert service.settings.settings.default_model == "other"
    phases = [event.state.phase for event in recorder.of(EngineChanged)]
    assert phases == ["loading", "loading", "ready"]
    assert [event.state.progress for event in recorder.of(EngineChanged)] == [None, 0.5, None]
    with pytest.raises(ModelNotFound):
        service.choose_model("nothing")


@pytest.fixture
def added(home: Home, tmp_path: Path) -> Path:
    """A model in a folder that a person added."""
    path = tmp_path / "外接" / "belle.gguf"
    path.parent.mkdir()
    path.write_bytes(b"GGUF")
    open_library(home).add_folder(path.parent)
    return path


def test_a_newcomer_of_the_same_name_is_loaded_when_it_is_chosen(
    service: ChatService, home: Home, fake: FakeBackend, recorder: Recorder, added: Path
) -> None:
    service.choose_file(added)
    recorder.wait(lambda: service.state.phase == "ready")
    newcomer = home.models / "belle.gguf"
    newcomer.write_bytes(b"GGUF, another one")

    service.choose_file(newcomer)
    recorder.wait(lambda: service.state.phase == "ready" and len(fake.loaded) == 2)

    assert [path for path, _ in fake.loaded] == [added, newcomer]
    assert service.state.model is not None
    assert service.state.model.path == newcomer


def test_what_the_settings_remember_never_comes_to_mean_another_file(
    service: ChatService, home: Home, added: Path
) -> None:
    service.choose_file(added)
    of_added = service.settings.settings.default_model
    newcomer = home.models / "belle.gguf"
    newcomer.write_bytes(b"GGUF, another one")
    service.choose_file(newcomer)
    of_newcomer = service.settings.settings.default_model

    assert of_newcomer == "belle"
    assert find_choice(of_added, home).path == added
    assert find_choice(of_newcomer, home).path == newcomer
    newcomer.unlink()
    assert find_choice(of_added, home).path == added
    with pytest.raises(ModelNotFound):
        find_choice(of_newcomer, home)


def test_files_of_one_name_within_the_models_folder_are_told_apart(service: ChatService, home: Home) -> None:
    deep = home.make(home.models) / "深" / "belle.gguf"
    deep.parent.mkdir()
    deep.write_bytes(b"GGUF")
    service.choose_file(deep)
    (home.models / "belle.gguf").write_bytes(b"GGUF")

    assert find_choice(service.settings.settings.default_model, home).path == deep
    assert find_choice("belle", home).path == home.models / "belle.gguf"


def test_a_split_model_has_the_size_of_all_its_files(service: ChatService, home: Home) -> None:
    for number in (1, 2, 3):
        (home.models / f"split-{number:05d}-of-00003.gguf").write_bytes(b"GGUF")

    assert find_choice("split", home).size_bytes == 12


def test_a_model_that_fails_is_a_problem_and_the_question_stays(
    service: ChatService, fake: FakeBackend, recorder: Recorder
) -> None:
    error = NotEnoughMemory(Path("模型.gguf"), 2, 1, 512, None)

    def refuse(*_: object) -> None:
        raise error

    works, fake.load = fake.load, refuse  # type: ignore[method-assign,assignment]
    conversation = service.new_conversation()
    question = service.send(conversation, "one")
    recorder.wait(lambda: recorder.of(Problem) and idle(service))

    assert (service.state.phase, service.state.error) == ("failed", error)
    assert texts(service, conversation) == ["one"]
    fake.load = works  # type: ignore[method-assign]
    service.regenerate(question)
    recorder.wait(lambda: recorder.of(AnswerEnded) and idle(service))
    assert texts(service, conversation) == ["one", "echo: one"]


def test_an_engine_that_stops_keeps_the_text_and_comes_back(make_service: MakeService) -> None:
    error = EngineStopped("SIGKILL", -9, "")

    class Dying(FakeBackend):
        def chat(self, messages, sampling):  # type: ignore[no-untyped-def]
            for number, event in enumerate(super().chat(messages, sampling)):
                if number == 2 and len(self.asked) == 1:
                    raise error
                yield event

    fake = Dying([["a ", "b ", "c "]])
    service = make_service(lambda: fake)
    recorder = Recorder(service)
    conversation = service.new_conversation()
    service.send(conversation, "one")
    recorder.wait(lambda: len(fake.loaded) == 2 and idle(service))

    answer = service.path(conversation)[-1].message
    assert (answer.text, answer.status) == ("a b ", Status.UNFINISHED)
    assert Problem(conversation, error) in recorder.events
    assert "restarting" in [event.state.phase for event in recorder.of(EngineChanged)]
    assert service.state.phase == "ready"
    ask(service, recorder, conversation, "two")
    assert texts(service, conversation)[-1] == "echo: two"


def test_an_answer_that_fails_before_its_first_word_leaves_none(
    service: ChatService, fake: FakeBackend, recorder: Recorder
) -> None:
    error = PromptTooLong(9, 8, 16)
    fake._answers[:] = [error]  # noqa: SLF001
    conversation = service.new_conversation()
    service.send(conversation, "long")
    recorder.wait(lambda: recorder.of(Problem) and idle(service))

    assert Problem(conversation, error) in recorder.events
    assert texts(service, conversation) == ["long"]


def test_forgotten_turns_show_from_where_on_the_model_remembers(make_service: MakeService) -> None:
    service = make_service(lambda: FakeBackend(forgotten_turns=[0, 0, 2]))
    recorder = Recorder(service)
    conversation = service.new_conversation()
    for text in ("one", "two"):
        ask(service, recorder, conversation, text)
    assert service.remembered_from(conversation) is None
    ask(service, recorder, conversation, "three")

    third = service.path(conversation)[4].message
    assert (third.text, service.remembered_from(conversation)) == ("three", third.id)


# --- settings in effect -------------------------------------------------------------------------------


def test_the_nearest_setting_wins(service: ChatService, home: Home) -> None:
    write_model(home.models / "模型.gguf")  # a BLOOM model without a template is taken for BELLE's
    key = service.chosen_model().key
    service.settings.set_sampling(key, PartialSampling(temperature=0.9, max_tokens=64, top_k=9))
    service.settings.set_sampling("another model", PartialSampling(top_p=0.1))
    conversation = service.new_conversation()
    overrides = service.history.conversations.set_overrides

    def chosen(name: str) -> tuple[object, Source]:
        resolved = service.answer_plan(conversation).resolved
        return getattr(resolved.sampling, name), resolved.sources[name]

    assert chosen("temperature") == (0.9, Source.OWN)
    overrides(conversation, Overrides(persona="coder"))
    assert chosen("temperature") == (0.3, Source.PERSONA)
    assert chosen("top_k") == (9, Source.OWN)
    overrides(conversation, Overrides(persona="coder", system="Be brief.", sampling=PartialSampling(top_k=5)))
    assert service.answer_plan(conversation).system == "Be brief."
    assert chosen("top_k") == (5, Source.CONVERSATION)
    assert chosen("temperature") == (0.3, Source.PERSONA)
    assert chosen("max_tokens") == (64, Source.OWN)
    assert chosen("top_p") == (0.85, Source.BELLE)
    assert chosen("xtc_probability") == (0.0, Source.DEFAULT)


def test_the_file_is_read_again_when_another_takes_its_place(service: ChatService, home: Home) -> None:
    path = home.models / "模型.gguf"
    write_model(path, chat_template="{{ messages }}", keys={"general.sampling.temp": 0.25})
    plan = service.plan_for(Overrides())
    assert (plan.sampling.temperature, plan.resolved.sources["temperature"]) == (0.25, Source.FILE)
    assert plan.sampling.max_tokens is None

    write_model(path, chat_template="{{ messages }}", keys={"general.sampling.temp": 0.5, "x": 1})
    assert service.plan_for(Overrides()).sampling.temperature == 0.5


def test_the_demo_has_its_own_sampling_unless_overridden(service: ChatService) -> None:
    service.settings.update(default_model=None)
    conversation = service.new_conversation("writer")

    assert service.answer_plan(conversation).sampling == resolve_for(DEMO_SAMPLING).sampling
    own = Overrides(persona="writer", sampling=PartialSampling(temperature=0.6))
    service.history.conversations.set_overrides(conversation, own)
    sampling = service.answer_plan(conversation).sampling
    assert sampling == replace(resolve_for(DEMO_SAMPLING).sampling, temperature=0.6)


def test_a_model_that_is_gone_is_replaced_by_the_default(
    service: ChatService, fake: FakeBackend, recorder: Recorder, home: Home
) -> None:
    conversation = service.new_conversation()
    service.history.conversations.set_overrides(conversation, Overrides(model="gone"))
    ask(service, recorder, conversation, "one")

    assert fake.loaded[-1][0] == home.models / "模型.gguf"


def test_a_cut_off_answer_says_so(make_service: MakeService) -> None:
    service = make_service(lambda: FakeBackend(reason=FinishReason.LENGTH))
    recorder = Recorder(service)
    conversation = service.new_conversation()
    ask(service, recorder, conversation, "one")

    assert service.path(conversation)[-1].message.status is Status.LENGTH


def test_a_page_that_is_gone_does_not_stop_the_answer(service: ChatService, recorder: Recorder) -> None:
    def gone(_event: object) -> None:
        raise RuntimeError("Event loop is closed")

    service.subscribe(gone)
    conversation = service.new_conversation()
    ask(service, recorder, conversation, "one")

    assert texts(service, conversation) == ["one", "echo: one"]


# --- the library learns of it -----------------------------------------------------------------------------


def used_at(home: Home) -> float | None:
    """When the library says that its model was used."""
    (model,) = open_library(home).look().models
    return model.used_at


def test_the_library_knows_when_a_model_was_used(
    service: ChatService, recorder: Recorder, home: Home, tmp_path: Path
) -> None:
    other = Path(shutil.copyfile(home.models / "模型.gguf", tmp_path / "外部.gguf"))
    assert used_at(home) is None
    started_s = time.time()

    ask(service, recorder, service.new_conversation(), "你好")
    recorder.wait(lambda: used_at(home) is not None)
    assert started_s <= (used_at(home) or 0.0) <= time.time()

    # Neither the demo nor a file from elsewhere becomes part of the library.
    service.choose_model("demo")
    recorder.wait(lambda: service.state.phase == "ready" and service.state.model == DEMO)
    service.choose_model(str(other))
    recorder.wait(lambda: service.state.phase == "ready" and service.state.model != DEMO)
    service.close()
    assert [model.name for model in open_library(home).look().models] == ["模型"]


def test_a_model_that_could_not_be_loaded_was_not_used(make_service: MakeService, home: Home) -> None:
    service = make_service(_TooSmall)
    recorder = Recorder(service)
    service.load()
    recorder.wait(lambda: service.state.phase == "failed")
    service.close()
    assert used_at(home) is None


# --- loading without regard to memory -------------------------------------------------------------------


class _TooSmall(FakeBackend):
    """Memory is enough for the demo only."""

    def load(self, path: Path, options: LoadOptions, progress: Progress = untold) -> ModelInfo:
        super().load(path, options, progress)
        if not options.ignore_memory and "demo" not in path.name:
            raise NotEnoughMemory(path, 8_000_000_000, 1_000_000_000, 2048, None)
        return INFO


def test_a_model_that_does_not_fit_is_loaded_when_a_person_says_so(make_service: MakeService) -> None:
    fake = _TooSmall()
    service = make_service(lambda: fake)
    recorder = Recorder(service)
    conversation = service.new_conversation()
    service.load()
    recorder.wait(lambda: service.state.phase == "failed")

    service.load(ignore_memory=True)
    recorder.wait(lambda: service.state.phase == "ready")
    ask(service, recorder, conversation, "你好")

    assert [options.ignore_memory for _, options in fake.loaded] == [
        False,
        True,
    ]  # not loaded again to answer
    assert not service.settings.settings.load.ignore_memory
    assert 'ignore_memory": true' not in (service.home.root / "settings.json").read_text(encoding="utf-8")


def test_that_memory_is_ignored_ends_with_the_next_model(make_service: MakeService) -> None:
    fake = _TooSmall()
    service = make_service(lambda: fake)
    recorder = Recorder(service)
    service.load(ignore_memory=True)
    recorder.wait(lambda: service.state.phase == "ready")
    service.load()
    service.choose_model("demo")
    recorder.wait(lambda: service.state.phase == "ready" and service.state.model == DEMO)

    service.choose_model("模型")
    recorder.wait(lambda: service.state.phase == "failed")

    assert [options.ignore_memory for _, options in fake.loaded] == [True, False, False]
    assert isinstance(service.state.error, NotEnoughMemory)


def test_the_model_of_one_conversation_can_be_loaded_without_regard_to_memory(
    make_service: MakeService, home: Home
) -> None:
    (home.models / "大.gguf").write_bytes(b"GGUF")
    fake = _TooSmall()
    service = make_service(lambda: fake)
    recorder = Recorder(service)
    conversation = service.new_conversation()
    service.history.conversations.set_overrides(conversation, Overrides(model="大"))
    question = service.send(conversation, "你好")
    recorder.wait(lambda: service.state.phase == "failed" and service.state.answering is None)

    service.load(ignore_memory=True)
    recorder.wait(lambda: service.state.phase == "ready")
    service.regenerate(question)
    recorder.wait(lambda: bool(recorder.of(AnswerEnded)))

    assert [path.name for path, _ in fake.loaded] == ["大.gguf", "大.gguf"]
    assert service.path(conversation)[-1].message.text == "echo: 你好"
