"""The registry of forms: what the READMEs and `inspect` say is what there is."""

from __future__ import annotations

from pathlib import Path

import pytest

from convert.forms import FORMS, TABLE_END, TABLE_START, forms_table
from convert.i18n import Catalog, Language

ROOT = Path(__file__).resolve().parents[2]
READMES: list[tuple[str, Language]] = [("README.md", "en"), ("README.zh-CN.md", "zh-CN")]


@pytest.mark.parametrize(("name", "language"), READMES)
def test_the_table_in_the_readme_is_the_registrys(name: str, language: Language) -> None:
    """When this fails, put the output of `python -m convert.forms` between the two marks."""
    text = (ROOT / name).read_text(encoding="utf-8")
    _, start, rest = text.partition(f"{TABLE_START}\n")
    table, end, _ = rest.partition(TABLE_END)
    assert start
    assert end
    assert table == forms_table(Catalog("convert.i18n"), language)


def test_every_form_is_worded_and_nothing_else_is() -> None:
    catalog = Catalog("convert.i18n")
    expected = {f"form.{key}.{column}" for key in FORMS for column in ("name", "read", "needs")}
    worded = {key for key in catalog.keys("en") if key.startswith("form.") and key.count(".") == 2}
    assert worded == expected
    assert [form.key for form in FORMS.values()] == list(FORMS)


def test_every_form_says_its_label_somewhere_in_detection() -> None:
    """Detection takes its labels from here: each form is named there, or by its key."""
    modules = (ROOT / "convert" / name for name in ("detect.py", "quantized.py"))
    source = "".join(module.read_text(encoding="utf-8") for module in modules)
    named = {key for key in FORMS if key.upper() in source}
    assert named | {"safetensors", "torch"} == set(FORMS)
