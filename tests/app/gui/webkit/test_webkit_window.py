"""The window of Linux, for real: what it looks like, how it closes, and what follows when its page dies."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from pathlib import Path

from builders.screen import Screen
from builders.webkit_windows import BLANK, WAIT_S, Site, Window


def test_it_has_its_title_icon_size_and_the_name_of_the_desktop_entry(
    show: Callable[..., Window], screen: Screen, site: Site
) -> None:
    window = show(place={"width": 700, "height": 500})
    site.wait_for("loaded")

    assert screen.title(window.id) == "窗口"
    assert screen.size(window.id) == (700, 500)
    assert '"chatbelle", "chatbelle"' in screen.property(window.id, "WM_CLASS")
    assert "Icon (192 x 192)" in screen.property(window.id, "_NET_WM_ICON")

    window.call("set_title", text="● 完成")
    screen.wait_for(lambda: screen.title(window.id) == "● 完成", "the other title", WAIT_S)


def test_it_is_never_narrower_than_a_phone(show: Callable[..., Window], screen: Screen, site: Site) -> None:
    window = show("addEventListener('resize', () => say('width', innerWidth)); " + BLANK)
    site.wait_for("loaded")

    hints = screen.property(window.id, "WM_NORMAL_HINTS")

    assert "minimum size: 360 by 480" in hints


def test_closing_tells_the_place_and_ends_with_nothing_left(
    show: Callable[..., Window], screen: Screen, site: Site
) -> None:
    window = show(place={"width": 700, "height": 500, "left": 40, "top": 30})
    site.wait_for("loaded")
    drawn_by = window.web_process()

    screen.close(window.id)

    assert window.wait_for("may_close") is True
    assert window.wait_for("closing") == [700, 500, 40, 30, False]
    assert window.process.wait(WAIT_S) == 0
    screen.wait_for(lambda: not Path(f"/proc/{drawn_by}").exists(), "the page's process is gone", WAIT_S)


def test_a_refused_close_keeps_the_window_and_the_next_one_does_not(
    show: Callable[..., Window], screen: Screen, site: Site
) -> None:
    window = show(refusals=1)
    site.wait_for("loaded")

    screen.close(window.id)
    assert window.wait_for("may_close") is False
    assert screen.windows() == [window.id]
    screen.close(window.id)

    assert window.process.wait(WAIT_S) == 0


def test_another_thread_closes_it_without_asking(show: Callable[..., Window], site: Site) -> None:
    window = show()
    site.wait_for("loaded")

    window.call("show", token="")
    window.call("close")

    assert "may_close" not in window.told.get(timeout=WAIT_S)
    assert window.process.wait(WAIT_S) == 0


def test_a_page_whose_process_dies_is_loaded_again(show: Callable[..., Window], site: Site) -> None:
    window = show()
    site.wait_for("loaded")

    os.kill(window.web_process(), signal.SIGKILL)

    assert window.wait_for("came_back") is True
    assert site.wait_for("loaded") == "visible"


def test_a_page_that_keeps_dying_is_given_up(show: Callable[..., Window], site: Site) -> None:
    window = show()
    for _ in range(2):
        site.wait_for("loaded")
        os.kill(window.web_process(), signal.SIGKILL)
        window.wait_for("came_back")
    site.wait_for("loaded")

    os.kill(window.web_process(), signal.SIGKILL)

    assert window.wait_for("lost") is True
    assert window.process.wait(WAIT_S) == 0


def test_nothing_is_left_when_the_program_is_killed(
    show: Callable[..., Window], screen: Screen, site: Site
) -> None:
    window = show()
    site.wait_for("loaded")
    drawn_by = window.web_process()

    window.process.kill()

    screen.wait_for(lambda: _is_gone(drawn_by), "the page's process is gone", WAIT_S)


def _is_gone(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0]
    except OSError:
        return True
    return state == "Z"
