"""Where a window comes up again: as it was left, and where it can be seen and grasped."""

from __future__ import annotations

import pytest

from app.gui.window import Area, fitted, place_of
from app.settings import WindowPlace

SCREEN = Area(0, 30, 1920, 1050)
LEFT_SCREEN = Area(-1280, 0, 1280, 1024)


@pytest.mark.parametrize(
    "place",
    [
        WindowPlace(900, 600, 100, 100),
        WindowPlace(900, 600, 1700, 900),
        WindowPlace(900, 600, -700, 40),
        WindowPlace(900, 600, -1200, 100),
        WindowPlace(900, 600, 100, 100, maximized=True),
    ],
)
def test_a_place_that_is_on_a_screen_is_kept(place: WindowPlace) -> None:
    assert fitted(place, [SCREEN, LEFT_SCREEN]) == place


@pytest.mark.parametrize(
    ("left", "top"),
    [(-1200, 100), (1900, 100), (100, -400), (100, 1060), (5000, 5000), (None, None), (100, None)],
)
def test_where_nothing_of_it_could_be_grasped_the_system_chooses(left: int | None, top: int | None) -> None:
    place = fitted(WindowPlace(900, 600, left, top), [SCREEN])

    assert place == WindowPlace(900, 600, None, None)


def test_a_window_is_no_larger_than_the_screen_that_is_left() -> None:
    place = fitted(WindowPlace(3000, 2000, 50, 60), [SCREEN])

    assert place == WindowPlace(1920, 1050, 50, 60)


def test_a_screen_smaller_than_the_smallest_window_does_not_make_it_smaller() -> None:
    assert fitted(WindowPlace(360, 480), [Area(0, 0, 320, 240)]) == WindowPlace(360, 480)


def test_without_a_known_screen_only_the_position_is_forgotten() -> None:
    assert fitted(WindowPlace(900, 600, 5, 5, maximized=True), []) == WindowPlace(900, 600, maximized=True)


def test_a_maximized_window_keeps_the_size_it_goes_back_to() -> None:
    before = WindowPlace(900, 600, 10, 20)

    assert place_of((2560, 1440), (0, 0), True, before) == WindowPlace(900, 600, 10, 20, maximized=True)


def test_a_window_is_never_remembered_too_small() -> None:
    assert place_of((100, 800), (-5, 0), False, WindowPlace()) == WindowPlace(360, 800, -5, 0)
    assert place_of((700, 100), None, False, WindowPlace()) == WindowPlace(700, 480)
