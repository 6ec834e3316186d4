"""What would cost a person their page does not: late answers of the client, and errors in handlers."""

from __future__ import annotations

import asyncio
import functools
import os
from types import SimpleNamespace
from typing import Any

import flet as ft
import msgpack
import pytest
from flet.messaging import flet_socket_server
from flet.messaging.protocol import configure_encode_object_for_msgpack
from flet.messaging.session import Session
from flet.pubsub.pubsub_hub import PubSubHub
from flet_web.fastapi import flet_app

from app.views.session_guard import guard_session

GONE = 999_999
NOT_UTF_8 = os.fsdecode(b"BELLE-\xff\xfe.gguf")


async def _session() -> Any:
    """A real session whose client never reads."""
    connection = SimpleNamespace(
        pubsubhub=PubSubHub(loop=asyncio.get_running_loop()),
        send_message=lambda message: sent.append(message),
    )
    sent: list[Any] = []
    session: Any = Session(connection)  # type: ignore[arg-type]
    session.sent = sent
    return session


async def _call_a_method(session: Any) -> tuple[asyncio.Task[Any], str]:
    call = asyncio.create_task(session.invoke_method(GONE, "focus", None))
    await asyncio.sleep(0)
    return call, session.sent[-1].body.call_id


def test_flet_raises_for_a_late_answer() -> None:
    """The reason for the guard; when this fails, Flet has mended it, and the guard can go."""

    async def run() -> None:
        session = await _session()
        call, call_id = await _call_a_method(session)
        try:
            with pytest.raises(RuntimeError):
                session.handle_invoke_method_results(GONE, call_id, None, None)
        finally:
            call.cancel()

    asyncio.run(run())


def test_a_late_answer_ends_the_call_and_not_the_connection() -> None:
    async def run() -> Any:
        session = await _session()
        guard_session(session, print)
        call, call_id = await _call_a_method(session)
        session.handle_invoke_method_results(GONE, call_id, "result", None)
        return await asyncio.wait_for(call, 5)

    assert asyncio.run(run()) == "result"


def test_an_unhandled_error_is_told_and_shows_no_banner() -> None:
    async def run() -> tuple[list[str], list[Any]]:
        session = await _session()
        told: list[str] = []
        guard_session(session, told.append)
        session.page.on_resize = lambda: 1 / 0
        await session.dispatch_event(1, "resize", {"width": 1.0, "height": 1.0})
        return told, session.sent

    told, sent = asyncio.run(run())

    assert told[0].startswith("division by zero")
    assert sent == []


@pytest.fixture
def packing(monkeypatch: pytest.MonkeyPatch) -> None:
    """What a guard does to the library that packs messages ends with the test."""
    monkeypatch.setattr(msgpack, "packb", msgpack.packb.func if _is_guarded() else msgpack.packb)


def _is_guarded() -> bool:
    return isinstance(msgpack.packb, functools.partial)


async def _show(text: str, *, is_guarded: bool) -> bytes:
    """What a client gets when a text comes on its page, packed as Flet's connections do it."""
    session = await _session()
    if is_guarded:
        guard_session(session, print)
    session.page.controls = [ft.Text(text)]
    encode = configure_encode_object_for_msgpack(ft.BaseControl)
    packed: bytes = msgpack.packb(session.get_page_patch(), default=encode)
    return packed


@pytest.mark.usefixtures("packing")
def test_flet_cannot_send_names_that_are_not_utf_8() -> None:
    """The reason for the guard; when this fails, Flet has mended it, and the guard can go."""
    with pytest.raises(UnicodeEncodeError):
        asyncio.run(_show(NOT_UTF_8, is_guarded=False))


@pytest.mark.usefixtures("packing")
def test_names_that_are_not_utf_8_are_shown_as_well_as_they_can_be() -> None:
    assert b"BELLE-??.gguf" in asyncio.run(_show(NOT_UTF_8, is_guarded=True))
    assert "贝拉".encode() in asyncio.run(_show("贝拉", is_guarded=True))


def test_every_connection_of_flet_packs_where_the_guard_is() -> None:
    for module in (flet_app, flet_socket_server):
        assert module.msgpack is msgpack
        assert not hasattr(module, "packb")
