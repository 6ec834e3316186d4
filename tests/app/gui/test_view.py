"""Which view is opened, and that only looking decides it."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from app.gui.view import Choice, Surroundings, View, choose_view, has_client

WINDOW = Choice(View.WINDOW, opens_browser=False, suggests_client=False)


@pytest.mark.parametrize(
    ("wants_web", "no_browser", "around", "expected"),
    [
        (False, False, Surroundings(has_client=True, has_display=True), WINDOW),
        (False, False, Surroundings(False, True), Choice(View.BROWSER, True, True)),
        (False, False, Surroundings(True, False), Choice(View.BROWSER, False, False)),
        (False, False, Surroundings(False, False), Choice(View.BROWSER, False, True)),
        (True, False, Surroundings(True, True), Choice(View.BROWSER, True, False)),
        (True, False, Surroundings(False, True), Choice(View.BROWSER, True, False)),
        (True, True, Surroundings(True, True), Choice(View.BROWSER, False, False)),
        (False, True, Surroundings(True, True), Choice(View.BROWSER, False, False)),
    ],
)
def test_the_view_follows_from_options_and_surroundings(
    wants_web: bool, no_browser: bool, around: Surroundings, expected: Choice
) -> None:
    assert choose_view(wants_web, no_browser, around) == expected


@pytest.fixture
def empty_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A person who never had a Flet client."""
    monkeypatch.setattr(Path, "home", lambda: tmp_path)
    return tmp_path


def test_no_client_is_found_where_none_is(empty_home: Path) -> None:
    assert not has_client({})
    assert not has_client({"FLET_VIEW_PATH": str(empty_home / "nowhere")})


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="the client has other names elsewhere")
def test_a_named_client_is_found(empty_home: Path) -> None:
    (empty_home / "flet").touch()

    assert has_client({"FLET_VIEW_PATH": str(empty_home)})


def test_a_cached_client_is_found_by_its_version(empty_home: Path) -> None:
    import flet_desktop.version

    version = flet_desktop.version.version
    flavor = "light" if sys.platform.startswith("linux") else "full"
    cache = empty_home / ".flet" / "client"
    (cache / f"flet-desktop-{flavor}-0.0.1").mkdir(parents=True)
    assert not has_client({})

    (cache / f"flet-desktop-{flavor}-{version}").mkdir()

    assert has_client({})
