"""What the window's log keeps, and what it must not."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from pathlib import Path

import pytest

from app.home import Home
from app.i18n import Texts
from app.main import open_app
from builders.hub import LocalHub
from engine.models.download import download
from engine.models.endpoints import Endpoints, RemoteFile


@pytest.fixture
def log(tmp_path: Path) -> Iterator[Path]:
    """The log of an app that is open."""
    home = Home(tmp_path / "数据")
    logger = logging.getLogger()
    before, level = logger.handlers[:], logger.level
    app = open_app(home, Texts("en"))
    try:
        yield home.logs / "chatbelle.log"
    finally:
        app.close()
        for handler in set(logger.handlers) - set(before):
            logger.removeHandler(handler)
            handler.close()
        logger.setLevel(level)


def test_the_log_keeps_no_address_that_was_asked(log: Path, tmp_path: Path) -> None:
    with LocalHub() as hub:
        hub.add("a/one", "one.gguf", b"x" * 1000)
        address = f"{hub.url}/a/one/resolve/main/one.gguf?key=secret"
        file = RemoteFile("", "", "one.gguf", address=address)
        list(download(file, tmp_path / "one.gguf", Endpoints((hub.url,))))
    logging.getLogger("app").info("something else")

    assert (tmp_path / "one.gguf").exists()
    text = log.read_text(encoding="utf-8")
    assert "something else" in text
    assert "secret" not in text
    assert "resolve" not in text
