"""What the chat service does while nobody looks at the app, as on a phone."""

from __future__ import annotations

from app.chat.service import ChatService
from app.history.records import Status
from builders.chat_services import MakeService, Recorder
from builders.fake_backend import FakeBackend


def ask(service: ChatService, recorder: Recorder) -> int:
    """Ask in a new conversation, and wait until its answer is being written."""
    conversation_id = service.new_conversation()
    service.send(conversation_id, "问")
    recorder.wait(lambda: service.state.message_id is not None)
    return conversation_id


def test_the_models_memory_is_given_back_and_the_model_is_back_with_the_person(
    service: ChatService, fake: FakeBackend, recorder: Recorder
) -> None:
    service.load()
    recorder.wait(lambda: service.state.phase == "ready")

    service.went_away()
    recorder.wait(lambda: service.state.phase == "idle")
    assert not fake.is_loaded
    assert service.state.info is None
    service.came_back()

    recorder.wait(lambda: service.state.phase == "ready")
    assert fake.is_loaded


def test_an_answer_under_way_is_made_to_its_end_first(make_service: MakeService) -> None:
    fake = FakeBackend([["一"] * 20], delay_s=0.01)
    service = make_service(lambda: fake)
    recorder = Recorder(service)
    conversation_id = ask(service, recorder)

    service.went_away()
    recorder.wait(lambda: service.state.phase == "idle")

    answer = service.path(conversation_id)[-1].message
    assert (answer.status, answer.text) == (Status.COMPLETE, "一" * 20)
    assert not fake.is_loaded


def test_who_is_back_before_the_answers_end_finds_the_model_loaded(make_service: MakeService) -> None:
    fake = FakeBackend([["一"] * 20], delay_s=0.01)
    service = make_service(lambda: fake)
    recorder = Recorder(service)
    conversation_id = ask(service, recorder)

    service.went_away()
    service.came_back()
    recorder.wait(lambda: service.state.answering is None)
    service.send(conversation_id, "再问")
    recorder.wait(lambda: len(fake.asked) == 2)

    assert len(fake.loaded) == 1


def test_a_question_in_the_background_loads_the_model_again(
    service: ChatService, fake: FakeBackend, recorder: Recorder
) -> None:
    service.load()
    recorder.wait(lambda: service.state.phase == "ready")
    service.went_away()
    recorder.wait(lambda: service.state.phase == "idle")

    service.send(service.new_conversation(), "问")

    recorder.wait(lambda: len(fake.asked) == 1)
    assert len(fake.loaded) == 2


def test_leaving_backs_the_history_up_since_nobody_may_close_it(service: ChatService) -> None:
    service.send(service.new_conversation(), "问")

    service.went_away()

    assert len(service.history.backups.all()) == 1


def test_what_was_never_loaded_is_not_loaded_by_coming_back(service: ChatService, fake: FakeBackend) -> None:
    service.went_away()
    service.came_back()
    service.close()

    assert fake.loaded == []
