"""The report: what it says, and what it must not say; and the characters that a font draws."""

from __future__ import annotations

import json
import struct
from pathlib import Path

import pytest

from app.i18n import Texts, catalog
from app.self_test.font_file import FontDamaged, drawn_codes
from app.self_test.report import headline, report_document, report_text, without_private
from app.self_test.steps import STEP_NAMES, Report, StepEnded
from convert.i18n import LANGUAGES, Language

FONTS = Path(__file__).resolve().parents[3] / "assets" / "web" / "fonts"

FACTS = {"version": "0.1.0", "installation": "bundle", "memory": 16_000_000_000, "added_folders": []}


@pytest.fixture
def of_zhangsan(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    home = tmp_path / "home"
    for name in ("HOME", "USERPROFILE"):
        monkeypatch.setenv(name, str(home))
    monkeypatch.setenv("LOGNAME", "zhangsan")
    return home


def test_the_home_folder_is_a_tilde_and_the_name_is_left_out(of_zhangsan: Path) -> None:
    home = of_zhangsan

    assert without_private(f"{home}/ChatBELLE: no. {home}") == "~/ChatBELLE: no. ~"
    assert without_private(f"{home}s/x") == f"{home}s/x"
    assert (
        without_private("/media/zhangsan/USB and D:\\zhangsan\\模型") == "/media/USER/USB and D:\\USER\\模型"
    )
    assert without_private("/srv/zhangsan2") == "/srv/zhangsan2"
    assert without_private("zhangsan is no path") == "zhangsan is no path"


@pytest.mark.parametrize("language", LANGUAGES)
def test_a_failed_step_is_named_with_what_to_do(of_zhangsan: Path, language: Language) -> None:
    texts = Texts(language)
    failed = StepEnded("page", "failed", 7, f"{of_zhangsan} 404", "do this")
    report = Report(FACTS, (StepEnded("engine", "ok", 3, "AVX2"), failed))

    text, document = report_text(report, texts), report_document(report)

    step = texts.text("self-test.step.page")
    assert step in headline(report, texts)
    assert f"{step} (7 ms): ~ 404\n    do this" in text
    assert "16.00 GB" in text
    assert document["ok"] is False
    assert document["steps"][1]["detail"] == "~ 404"
    assert json.loads(json.dumps(document)) == document


def test_a_report_without_a_step_is_no_success() -> None:
    assert not Report().is_ok


def test_every_step_has_a_name_and_advice_in_both_languages() -> None:
    keys = catalog().keys("en")

    for name in STEP_NAMES:
        assert f"self-test.step.{name}" in keys
        assert f"self-test.advice.{name}" in keys


def test_the_chinese_font_draws_chinese_and_the_other_one_does_not() -> None:
    chinese = drawn_codes((FONTS / "NotoSansSC-Regular.ttf").read_bytes())
    latin = drawn_codes((FONTS / "SourceCodePro-Regular.ttf").read_bytes())

    assert set(map(ord, "贝拉对话，。“”A1")) <= chinese
    assert ord("A") in latin
    assert ord("贝") not in latin


def _font(cmap: bytes) -> bytes:
    table = struct.pack(">4sIII", b"cmap", 0, 28, len(cmap))
    return b"\0\1\0\0" + struct.pack(">HHHH", 1, 0, 0, 0) + table + cmap


def _with_subtable(subtable: bytes) -> bytes:
    return _font(struct.pack(">HHHHI", 0, 1, 3, 10, 12) + subtable)


def test_both_formats_are_read() -> None:
    groups = struct.pack(">HHIII", 12, 0, 40, 0, 2)
    groups += struct.pack(">III", 0x41, 0x43, 1) + struct.pack(">III", 0x20000, 0x20000, 9)
    assert drawn_codes(_with_subtable(groups)) == {0x41, 0x42, 0x43, 0x20000}

    # Two segments and the last one: a delta, and an array of glyphs whose second entry is none.
    head = struct.pack(">HHHHHHH", 4, 0, 0, 6, 0, 0, 0)
    ends, starts = struct.pack(">3H", 0x41, 0x62, 0xFFFF), struct.pack(">3H", 0x41, 0x61, 0xFFFF)
    deltas, ranges = struct.pack(">3H", 5, 0, 1), struct.pack(">3H", 0, 4, 0)
    segments = head + ends + b"\0\0" + starts + deltas + ranges + struct.pack(">2H", 7, 0)
    assert drawn_codes(_with_subtable(segments)) == {0x41, 0x61}


@pytest.mark.parametrize(
    "font",
    [
        b"",
        b"PK\3\4",
        b"\0\1\0\0",
        _font(b"")[:20],
        _font(b""),
        _with_subtable(struct.pack(">HHIII", 12, 0, 0, 0, 1 << 20)),
        _with_subtable(struct.pack(">HHIIIIII", 12, 0, 0, 0, 1, 0, 0xFFFFFFFF, 1)),
        (FONTS / "SourceCodePro-Regular.ttf").read_bytes()[:100_000],
    ],
)
def test_what_is_no_whole_font_is_refused(font: bytes) -> None:
    with pytest.raises(FontDamaged):
        drawn_codes(font)
