"""What a model thinks before it answers, on a fake engine: streamed, kept, continued and asked for."""

from __future__ import annotations

from dataclasses import replace

import pytest

from app.chat.events import AnswerEnded, AnswerGrew, EngineChanged, ThoughtGrew
from app.chat.service import ChatService
from app.history.records import Overrides, Status, StoredMessage
from builders.chat_services import MakeService, Recorder
from builders.fake_backend import INFO, FakeBackend
from engine.errors import EngineStopped
from engine.partial_sampling import PartialSampling
from engine.types import Message

THINKING_INFO = replace(INFO, thinks=True, can_switch_thinking=True)


def ask(service: ChatService, recorder: Recorder, conversation_id: int, text: str) -> StoredMessage:
    """Send and wait for the end of the answer; returns it."""
    n_ended = len(recorder.of(AnswerEnded))
    service.send(conversation_id, text)
    _wait(service, recorder, n_ended + 1)
    return service.path(conversation_id)[-1].message


def _wait(service: ChatService, recorder: Recorder, n_ended: int) -> None:
    recorder.wait(lambda: len(recorder.of(AnswerEnded)) == n_ended and service.state.answering is None)


@pytest.fixture
def fake() -> FakeBackend:
    """An engine that thinks before its first two answers."""
    return FakeBackend(
        [["four", "."], ["six"]], thoughts=[["two and ", "two"], ["three"]], info=THINKING_INFO
    )


def test_a_thought_streams_apart_from_the_answer_and_is_kept_with_it(
    service: ChatService, recorder: Recorder
) -> None:
    conversation = service.new_conversation()
    answer = ask(service, recorder, conversation, "2 + 2?")

    assert (answer.thought, answer.text, answer.status) == ("two and two", "four.", Status.COMPLETE)
    assert answer.thought_s == pytest.approx(0.25)
    assert answer.statistics is not None
    assert answer.statistics.thought_tokens == 2
    thoughts = [(event.text, event.offset) for event in recorder.events if isinstance(event, ThoughtGrew)]
    assert thoughts == [("two and ", 0), ("two", 8)]
    pieces = [(event.text, event.offset) for event in recorder.events if isinstance(event, AnswerGrew)]
    assert pieces == [("four", 0), (".", 4)]
    thinking = [event.state.thinking for event in recorder.events if isinstance(event, EngineChanged)]
    assert True in thinking
    assert not service.state.thinking
    assert [hit.in_thought for hit in service.history.search.find("two")] == [True]


def test_a_live_thought_is_seen_before_it_is_on_disk(service: ChatService, recorder: Recorder) -> None:
    seen: list[tuple[str, str]] = []

    def look(event: object) -> None:
        if isinstance(event, ThoughtGrew):
            live = service.path(event.conversation_id)[-1].message
            assert (live.status, live.text) == (Status.STREAMING, "")
            seen.append((live.thought, event.text))

    service.subscribe(look)
    ask(service, recorder, service.new_conversation(), "2 + 2?")

    assert seen == [("two and ", "two and "), ("two and two", "two")]


def test_the_engine_is_given_the_thoughts_of_earlier_answers(
    service: ChatService, fake: FakeBackend, recorder: Recorder
) -> None:
    conversation = service.new_conversation()
    ask(service, recorder, conversation, "2 + 2?")
    ask(service, recorder, conversation, "3 + 3?")

    assert fake.asked[1][0][-2] == Message("assistant", "four.", thought="two and two")


def test_an_answer_stopped_in_its_thought_stays_and_goes_on_there(make_service: MakeService) -> None:
    fake = FakeBackend([["four"], ["four"]], thoughts=[["hm "] * 300, ["so"]], delay_s=0.02)
    service = make_service(lambda: fake)
    recorder = Recorder(service)
    conversation = service.new_conversation()
    service.send(conversation, "2 + 2?")
    recorder.wait(lambda: recorder.of(ThoughtGrew))
    service.stop()
    _wait(service, recorder, 1)
    stopped = service.path(conversation)[-1].message
    assert (stopped.status, stopped.text) == (Status.STOPPED, "")
    assert stopped.thought.startswith("hm ")

    service.continue_answer(stopped.id)
    _wait(service, recorder, 2)

    assert fake.asked[1][0][-1] == Message("assistant", "", thought=stopped.thought)
    answer = service.path(conversation)[-1].message
    assert (answer.id, answer.thought, answer.text) == (stopped.id, stopped.thought + "so", "four")
    assert answer.thought_s > stopped.thought_s
    continued = [event for event in recorder.events if isinstance(event, ThoughtGrew)][-1]
    assert continued.offset == len(stopped.thought)


def test_an_engine_that_dies_in_a_thought_leaves_what_it_thought(make_service: MakeService) -> None:
    class Dying(FakeBackend):
        def chat(self, messages, sampling):  # type: ignore[no-untyped-def]
            for number, event in enumerate(super().chat(messages, sampling)):
                if number == 2 and len(self.asked) == 1:
                    raise EngineStopped("SIGKILL", -9, "")
                yield event

    fake = Dying(thoughts=[["one ", "two ", "three "]])
    service = make_service(lambda: fake)
    recorder = Recorder(service)
    conversation = service.new_conversation()
    service.send(conversation, "one")
    recorder.wait(lambda: len(fake.loaded) == 2 and service.state.answering is None)

    answer = service.path(conversation)[-1].message
    assert (answer.thought, answer.text, answer.status) == ("one two ", "", Status.UNFINISHED)
    ask(service, recorder, conversation, "two")
    roles = [message.role for message in fake.asked[1][0]]
    assert roles == ["user", "assistant", "user"]


def test_where_the_model_remembers_from_counts_answers_of_thoughts_only(make_service: MakeService) -> None:
    fake = FakeBackend([[], ["b"], ["c"]], thoughts=[["hm"]], forgotten_turns=[0, 0, 2])
    service = make_service(lambda: fake)
    recorder = Recorder(service)
    conversation = service.new_conversation()
    for text in ("one", "two", "three"):
        ask(service, recorder, conversation, text)

    third = service.path(conversation)[4].message
    assert (third.text, service.remembered_from(conversation)) == ("three", third.id)


def test_a_conversation_says_whether_to_think_with_any_sampling(
    service: ChatService, fake: FakeBackend, recorder: Recorder
) -> None:
    conversation = service.new_conversation()
    set_overrides = service.history.conversations.set_overrides
    ask(service, recorder, conversation, "one")
    set_overrides(conversation, Overrides(thinking="off", thought_budget=512))
    ask(service, recorder, conversation, "two")
    set_overrides(conversation, Overrides(sampling=PartialSampling(top_k=5, thought_budget=9), thinking="on"))
    ask(service, recorder, conversation, "three")

    asked = [sampling for _, sampling in fake.asked]
    assert [(each.thinking, each.thought_budget) for each in asked] == [
        ("automatic", None),
        ("off", 512),
        ("on", 9),
    ]
    assert replace(asked[1], thinking="automatic", thought_budget=None) == asked[0]
    assert asked[2].top_k == 5
