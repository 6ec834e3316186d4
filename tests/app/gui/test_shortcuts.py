"""Keys mean the same on every platform, with its own modifiers; the browser keeps its own keys."""

from __future__ import annotations

import pytest

from app.components.settings.shortcuts import Action, Chord, action_for, shortcuts


def _press(chord: Chord, *, in_browser: bool, is_mac: bool) -> Action | None:
    return action_for(
        chord.key,
        ctrl=chord.command and not is_mac,
        meta=chord.command and is_mac,
        alt=chord.alt,
        shift=chord.shift,
        in_browser=in_browser,
        is_mac=is_mac,
    )


@pytest.mark.parametrize("in_browser", [False, True])
@pytest.mark.parametrize("is_mac", [False, True])
def test_every_shortcut_does_what_the_sheet_says(in_browser: bool, is_mac: bool) -> None:
    for action, chord in shortcuts(in_browser).items():
        assert _press(chord, in_browser=in_browser, is_mac=is_mac) is action


@pytest.mark.parametrize("in_browser", [False, True])
def test_no_two_actions_share_a_chord(in_browser: bool) -> None:
    table = shortcuts(in_browser)

    assert set(table) == set(Action)
    assert len(set(table.values())) == len(table)


def test_letters_count_in_either_case() -> None:
    pressed = {
        "ctrl": True,
        "meta": False,
        "alt": False,
        "shift": False,
        "in_browser": False,
        "is_mac": False,
    }

    assert action_for("n", **pressed) is action_for("N", **pressed) is Action.NEW


def test_the_other_systems_modifier_means_nothing() -> None:
    others = {"alt": False, "shift": False, "in_browser": False}

    assert action_for("N", ctrl=False, meta=True, is_mac=False, **others) is None
    assert action_for("N", ctrl=True, meta=False, is_mac=True, **others) is None


def test_plain_typing_is_no_shortcut() -> None:
    for key in ("N", "K", ",", "/", "Enter", "Arrow Up", "Backspace"):
        pressed = {"ctrl": False, "meta": False, "alt": False, "shift": False}
        assert action_for(key, **pressed, in_browser=True, is_mac=False) is None


def test_browsers_own_keys_stay_theirs() -> None:
    """Ctrl with a letter opens, closes or prints something in one browser or another."""
    for chord in shortcuts(in_browser=True).values():
        assert not (chord.command and not chord.alt and chord.key.isalpha() and len(chord.key) == 1)


def test_keys_are_written_as_each_platform_writes_them() -> None:
    chord = Chord("N", command=True, alt=True)

    assert chord.text(is_mac=False) == "Ctrl+Alt+N"
    assert chord.text(is_mac=True) == "⌥⌘N"
