"""The width that makes a drawer, fonts, and what is said after opening."""

from __future__ import annotations

import json
from importlib.resources import files
from pathlib import Path

import flet_web
import pytest

from app.components.settings.sampling_knobs import KNOBS
from app.history.records import Backup, OpenReport
from app.i18n import Texts
from app.main import report_sentences
from app.views.context import is_narrow
from app.views.theme import WEB_FONT, make_theme
from engine.partial_sampling import PartialSampling, check_partial


@pytest.mark.parametrize(("width", "narrow"), [(None, False), (360, True), (839.5, True), (840, False)])
def test_the_sidebar_is_a_drawer_below_840_pixels(width: float | None, narrow: bool) -> None:
    assert is_narrow(width) is narrow


def test_the_persons_text_size_reaches_every_style() -> None:
    small, large = make_theme(1.0, None, "#000000"), make_theme(1.5, None, "#000000")

    assert small.text_theme is not None
    assert large.text_theme is not None
    assert large.text_theme.body_medium.size == 1.5 * small.text_theme.body_medium.size
    assert large.text_theme.label_small.size == 1.5 * small.text_theme.label_small.size


def test_the_font_manifest_is_flets_own_with_our_font_in_front() -> None:
    """A new Flet brings a new manifest, which ours must follow."""
    ours = json.loads(files("assets").joinpath("web/assets/FontManifest.json").read_text(encoding="utf-8"))
    flets = Path(str(flet_web.__file__)).parent / "web" / "assets" / "FontManifest.json"

    assert ours[0]["family"] == WEB_FONT
    assert ours[1:] == json.loads(flets.read_text(encoding="utf-8"))
    assert files("assets").joinpath("web/assets", ours[0]["fonts"][0]["asset"]).is_file()


def test_the_start_page_allows_nothing_but_itself() -> None:
    page = files("assets").joinpath("web/index.html").read_text(encoding="utf-8")

    assert "default-src 'self'" in page
    assert "http://" not in page
    assert "https://" not in page
    assert "<script>" not in page


def test_every_position_of_every_slider_is_allowed() -> None:
    for knob in KNOBS:
        for step in range(knob.steps + 1):
            position = knob.lowest + step * (knob.highest - knob.lowest) / knob.steps
            check_partial(PartialSampling(**{knob.field: knob.read(position)}))


def test_a_slider_stands_where_its_value_is() -> None:
    for knob in KNOBS:
        for step in range(knob.steps + 1):
            position = knob.lowest + step * (knob.highest - knob.lowest) / knob.steps
            assert knob.position(knob.read(position)) == pytest.approx(position)
        assert knob.position(10**6) < knob.highest if knob.has_none else knob.position(10**6) == knob.highest
        assert knob.position(-(10**6)) == knob.lowest


def test_a_restored_history_is_told_and_a_good_one_is_not() -> None:
    texts = Texts("en")
    restored = OpenReport(
        "restored", damaged_path=Path("broken.sqlite3"), backup=Backup(Path("b"), 1_700_000_000_000)
    )

    (sentence,) = report_sentences(restored, texts)

    assert "broken.sqlite3" in sentence
    assert report_sentences(OpenReport("opened"), texts) == []
    assert "broken" in report_sentences(OpenReport("started_empty", Path("broken")), texts)[0]
    assert "full" in report_sentences(OpenReport("opened", backup_failure="full"), texts)[0]
