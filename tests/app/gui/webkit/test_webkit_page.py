"""The page in the window of Linux, for real: what it is told, may do and show, and what is kept of it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from builders.screen import Screen
from builders.webkit_windows import BLANK, WAIT_S, Site, Window


def _opener(tmp_path: Path) -> Path:
    """What the system opens addresses with: writes its argument into the file."""
    (tmp_path / "bin").mkdir()
    seen = tmp_path / "opened"
    program = tmp_path / "bin" / "xdg-open"
    program.write_text(f'#!/bin/sh\necho "$1" >> {seen}\n', encoding="utf-8")
    program.chmod(0o755)
    return seen


@pytest.mark.parametrize(("language", "expected"), [("zh-CN", "zh-CN"), ("en", "en-US")])
def test_the_page_has_a_language_even_where_the_locale_has_none(
    show: Callable[..., Window], site: Site, language: str, expected: str
) -> None:
    """Flutter stays at its splash where the browser's language is none."""
    show(
        "say('language', navigator.language + ' ' + new Intl.Locale(navigator.language).language)",
        language=language,
    )

    assert site.wait_for("language") == f"{expected} {expected[:2]}"
    assert site.languages[0].startswith(expected)


@pytest.mark.parametrize(("is_dark", "expected"), [(True, "true"), (False, "false")])
def test_the_page_sees_the_theme_that_was_chosen(
    show: Callable[..., Window], site: Site, is_dark: bool, expected: str
) -> None:
    show("say('dark', matchMedia('(prefers-color-scheme: dark)').matches)", is_dark=is_dark)

    assert site.wait_for("dark") == expected


def test_other_sites_open_in_the_systems_browser(
    show: Callable[..., Window], screen: Screen, site: Site, tmp_path: Path
) -> None:
    seen = _opener(tmp_path)
    link = "<a id=a style='position:fixed;inset:0;font-size:60px' target=_blank href='https://belle.example/页'>x</a>"
    window = show(BLANK + "; setTimeout(() => location.href = 'http://evil.example/', 200)", link)
    site.wait_for("loaded")
    screen.wait_for(seen.exists, "the address of the script's navigation", WAIT_S)

    screen.click(300, 300)

    screen.wait_for(lambda: len(seen.read_text().splitlines()) == 2, "the link's address", WAIT_S)
    assert seen.read_text().splitlines() == [
        "http://evil.example/",
        "https://belle.example/%E9%A1%B5",
    ]
    assert window.process.poll() is None


@pytest.mark.parametrize("address", ["file:///etc/passwd", "{origin}/other/", "data:text/html,x"])
def test_nothing_else_is_shown_in_the_window(
    show: Callable[..., Window], site: Site, tmp_path: Path, address: str
) -> None:
    """Not even what the same server has beside the page."""
    seen = _opener(tmp_path)
    target = address.format(origin=site.origin)
    show(
        f"addEventListener('load', () => {{ location.href = '{target}';"
        "setTimeout(() => say('here', location.href), 1500) })"
    )

    assert site.wait_for("here") == site.address
    assert not seen.exists() or target.startswith("http")


def test_the_page_may_copy_without_a_click(show: Callable[..., Window], screen: Screen, site: Site) -> None:
    """The answer to a click on Copy comes from the program, when the click is long over."""
    show(
        "setTimeout(() => navigator.clipboard.writeText('复制的文字')"
        ".then(() => say('copied', ''), error => say('copied', error)), 100)"
    )

    assert site.wait_for("copied") == ""
    assert screen.clipboard() == "复制的文字"


def test_keys_enlarge_the_page_as_in_a_browser(
    show: Callable[..., Window], screen: Screen, site: Site
) -> None:
    show("addEventListener('resize', () => say('width', innerWidth)); " + BLANK, place={"width": 800})
    site.wait_for("loaded")
    screen.click(300, 300)

    screen.press("ctrl+plus")
    assert int(site.wait_for("width")) == round(800 / 1.1)
    screen.press("ctrl+minus", "ctrl+minus")
    assert int(site.wait_for("width")) == 800
    assert int(site.wait_for("width")) == round(800 * 1.1)
    screen.press("ctrl+0")
    assert int(site.wait_for("width")) == 800


def test_a_right_click_offers_nothing_but_in_a_field(
    show: Callable[..., Window], screen: Screen, site: Site
) -> None:
    field = "<textarea id=t style='position:fixed;left:0;top:0;width:300px;height:300px'></textarea>"
    window = show("addEventListener('contextmenu', e => say('menu', e.target.tagName)); " + BLANK, field)
    site.wait_for("loaded")
    before = len(screen.windows(""))

    screen.click(500, 400, button=3)
    assert site.wait_for("menu") in ("HTML", "BODY")
    assert len(screen.windows("")) == before
    screen.click(100, 100, button=3)
    assert site.wait_for("menu") == "TEXTAREA"

    screen.wait_for(lambda: len(screen.windows("")) > before, "the menu with Paste", WAIT_S)
    assert window.process.poll() is None


def test_a_proxy_is_not_asked_for_what_is_on_this_machine(show: Callable[..., Window], site: Site) -> None:
    proxy = {name: "http://127.0.0.1:9" for name in ("http_proxy", "https_proxy", "all_proxy")}

    show(environ=proxy)

    assert site.wait_for("loaded") == "visible"


def test_nothing_of_the_page_is_kept_on_disk(show: Callable[..., Window], site: Site, tmp_path: Path) -> None:
    window = show("localStorage.secret = '机密'; document.cookie = 'a=机密'; " + BLANK)
    site.wait_for("loaded")

    window.call("close")
    assert window.process.wait(WAIT_S) == 0

    kept = [path for path in tmp_path.rglob("*") if path.is_file() and "dconf" not in str(path)]
    assert [
        path for path in kept if "机密".encode() in path.read_bytes() or "webkit" in str(path).lower()
    ] == []
