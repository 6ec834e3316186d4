"""A conversation is written, backed up, damaged and restored, in a history that nobody else uses."""

from __future__ import annotations

from app.history.opening import DATABASE_NAME
from app.history.records import Status
from app.history.store import HistoryStore
from app.self_test.bench import Bench
from app.self_test.steps import CheckFailed

_QUESTION = "自检：鹦鹉会说话吗？"
_ANSWER = "会。它们模仿听到的声音。"
_WORD = "模仿"
_DAMAGED_BYTES = 4096


def check_history(bench: Bench) -> str:
    """What was written is there again after its file was damaged, and a word of two characters finds it."""
    folder = bench.home.make(bench.home.history)
    with HistoryStore.open(folder) as history:
        conversation = history.conversations.create()
        question = history.messages.ask(conversation.id, _QUESTION)
        answer = history.answers.begin(question.id)
        answer.append(_ANSWER)
        answer.finish(Status.COMPLETE)
        history.backups.make()
    with (folder / DATABASE_NAME).open("r+b") as file:
        file.write(bytes(_DAMAGED_BYTES))
    with HistoryStore.open(folder) as history:
        if history.report.outcome != "restored":
            raise CheckFailed(bench.t("history.not_restored", outcome=history.report.outcome))
        texts = [entry.message.text for entry in history.messages.path(conversation.id)]
        if texts != [_QUESTION, _ANSWER]:
            raise CheckFailed(bench.t("history.other"))
        if not history.search.find(_WORD):
            raise CheckFailed(bench.t("history.not_found"))
    return bench.t("history.ok")
