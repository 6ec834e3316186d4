"""Both languages say the same things, and every expected error has a sentence."""

from __future__ import annotations

import inspect
import re
import string
import sys
from collections.abc import Iterator
from dataclasses import fields
from pathlib import Path
from typing import Any

import pytest

import app.errors
import app.kit.errors
import engine.errors
import engine.models.errors
import engine.models.fetch_errors
from app.errors import AppError, ModelNotFound, ModelNotListed, PageLost, PortInUse
from app.history.errors import HistoryError
from app.i18n import Texts, WindowTexts, catalog, window_size
from app.settings_file import SettingsError
from convert.errors import ConvertError, NotEnoughDisk, OutputExists, SourceMissing
from convert.i18n import LANGUAGES, Catalog, Language
from convert.notes import Note
from engine.errors import EngineError, NotEnoughMemory, TruncatedModel
from engine.models.fetch_errors import FetchError, HubTooBusy, NetworkForbidden, NetworkSettingInvalid

_SAMPLES: dict[str, Any] = {
    "str | Detail": "the place",
    "str": "某物",
    "int": 123_456_789,
    "int | None": 512,
    "float": 0.5,
    "bool": True,
    "Path": Path("模型") / "贝拉.gguf",
    "tuple[str, ...]": ("one", "two"),
    "tuple[int, ...]": (3, 4),
}


# Languages are named in their own, and some settings only have an English name.
NAMES = {
    *("settings.zh-CN", "settings.en", "settings.top_k", "settings.top_p", "settings.min_p"),
    "get.group.belle",
}


def _errors(base: type[Any]) -> Iterator[type[Any]]:
    """Every class below `base` that is raised itself, not only its children."""
    for error in base.__subclasses__():
        children = list(_errors(error))
        yield from children or [error]


ERRORS = [error for base in (EngineError, AppError, HistoryError, SettingsError) for error in _errors(base)]


def _sample(error: type[Any]) -> Any:
    return error(**{field.name: _SAMPLES[str(field.type)] for field in fields(error)})


def _field_names(template: str) -> set[str]:
    return {name for _, name, _, _ in string.Formatter().parse(template) if name is not None}


def test_both_catalogs_have_the_same_keys_and_fields() -> None:
    assert catalog().keys("en") == catalog().keys("zh-CN")
    for key in catalog().keys("en"):
        assert _field_names(catalog().template(key, "en")) == _field_names(
            catalog().template(key, "zh-CN")
        ), key


def _words(key: str, language: Language) -> str:
    """The text without its fields, and without the names that are the same everywhere."""
    return re.sub(r"\{[^}]*\}|ChatBELLE", "", catalog().template(key, language))


@pytest.mark.parametrize("key", sorted(catalog().keys("zh-CN") - NAMES))
def test_every_text_is_in_its_language(key: str) -> None:
    is_worded = re.search(r"[A-Za-z]{2}", _words(key, "en"))

    assert not re.search(r"[\u3000-\u9fff\uff00-\uffef]", _words(key, "en"))
    assert not is_worded or re.search(r"[\u4e00-\u9fff]", _words(key, "zh-CN"))


@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize("error", ERRORS, ids=lambda error: error.__name__)
def test_every_error_has_a_sentence(error: type[Any], language: Language) -> None:
    sentence = Texts(language).error(_sample(error))

    assert sentence.endswith((".", "。", ".gguf", ".gguf'"))
    assert "{" not in sentence
    if "path" in {field.name for field in fields(error)}:
        assert "贝拉.gguf" in sentence or "某物" in sentence


@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize("error", ERRORS, ids=lambda error: error.__name__)
def test_nobody_with_a_bundle_is_told_to_install_packages(
    error: type[Any], language: Language, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "frozen", True, raising=False)

    for texts in (Texts(language), WindowTexts(language)):
        assert not re.search(r"\bpip\b|\buv\b|llama-cpp-python", texts.error(_sample(error)))


@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize("error", [*ERRORS, *_errors(ConvertError)], ids=lambda error: error.__name__)
def test_a_window_names_no_command_and_no_option(error: type[Any], language: Language) -> None:
    sentence = WindowTexts(language).error(_sample(error))

    assert sentence
    # The first two end the start, in a terminal; only commands are given a model's path.
    if error not in (PortInUse, PageLost, ModelNotListed):
        assert not re.search(r"--[a-z]|chatbelle |belle-convert", sentence)


@pytest.mark.parametrize(
    "error", [HubTooBusy("贝拉", "hub.example", 60), NetworkSettingInvalid("贝拉", "HF_ENDPOINT=x:y")]
)
def test_what_a_search_ends_with_too_names_nothing_that_is_fetched(error: FetchError) -> None:
    assert not any("贝拉" in Texts(language).error(error) for language in LANGUAGES)


@pytest.mark.parametrize("language", LANGUAGES)
def test_a_search_that_is_forbidden_is_not_called_a_download(language: Language) -> None:
    said = WindowTexts(language).error(NetworkForbidden("贝拉"))

    assert "HF_HUB_OFFLINE" in said
    assert "贝拉" not in said


@pytest.mark.parametrize("group", ["window.", "bundle."])
def test_every_sentence_of_a_window_or_a_bundle_belongs_to_an_error(group: str) -> None:
    names = {error.__name__ for error in [*ERRORS, *_errors(ConvertError)]}
    keys = {key for key in catalog().keys("en") if key.startswith(group)}

    assert {key.removeprefix(group) for key in keys} <= names


CONVERTER_TEXTS = Catalog("convert.i18n")
NOTES = sorted(key for key in CONVERTER_TEXTS.keys("en") if key.startswith("note."))


@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize("key", NOTES)
def test_a_note_on_a_checkpoint_names_no_option_in_the_app(key: str, language: Language) -> None:
    parsed = string.Formatter().parse(CONVERTER_TEXTS.template(key, language))
    note = Note(
        key.removeprefix("note."), {name: 512 if spec else "某物" for _, name, spec, _ in parsed if name}
    )
    said = Texts(language).note(note)

    assert not re.search(r"--[a-z]", said)
    assert all(str(value) in said for value in note.values.values())


def test_every_note_that_the_app_words_itself_is_one_of_the_converters() -> None:
    assert {key for key in catalog().keys("en") if key.startswith("note.")} <= set(NOTES)


def test_every_error_class_is_drawn_in_its_tree() -> None:
    ours = (app.errors, app.kit.errors)
    for module in (engine.errors, engine.models.errors, engine.models.fetch_errors, *ours):
        drawn = set(re.findall(r"\b[A-Z]\w+", (module.__doc__ or "").partition("\n\n")[2]))
        classes = {
            name
            for name, member in inspect.getmembers(module, inspect.isclass)
            if member.__module__ == module.__name__
        }
        assert classes <= drawn, module.__name__


@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize("texts", [Texts, WindowTexts])
def test_sizes_that_round_alike_are_told_in_bytes(texts: type[Texts], language: Language) -> None:
    alike = texts(language).error(TruncatedModel(Path("a.gguf"), 5_004, 4_996))
    assert "5,004" in alike
    assert "4,996" in alike
    assert "kB" not in alike

    apart = texts(language).error(TruncatedModel(Path("a.gguf"), 4_680_000_000, 1_200_000_000))
    assert window_size(4_680_000_000) in apart.replace(" ", "\u00a0")
    assert "4,680" not in apart


def test_sizes_are_in_human_units() -> None:
    error = NotEnoughMemory(Path("big.gguf"), 5_200_000_000, 3_100_000_000, 4096, 1024)

    assert Texts("en").error(error) == (
        "big.gguf needs 5.20 GB of memory with a context of 4,096 tokens, and 3.10 GB are available. "
        "--ctx 1024 would fit; or close other programs, or try it nevertheless with --ignore-memory."
    )


def test_a_window_never_breaks_a_line_before_a_unit() -> None:
    error = NotEnoughMemory(Path("big.gguf"), 5_200_000_000, 3_100_000_000, 4096, 1024)
    full = NotEnoughDisk(Path("big.gguf"), 5_200_000_000, 3_100_000_000)
    texts = WindowTexts("en")

    for said in (texts.error(error), texts.error(full), texts.text("library.disk.free", size=5_200_000_000)):
        assert "5.20\N{NO-BREAK SPACE}GB" in said
    assert window_size(999) == "999\N{NO-BREAK SPACE}B"
    assert "5.20 GB" in Texts("en").error(full)


@pytest.mark.parametrize(
    ("known", "ending"), [(("demo", "贝拉"), " Known names: demo, 贝拉."), ((), " No model is there at all.")]
)
def test_a_model_that_is_not_found_is_told_with_the_names_there_are(
    known: tuple[str, ...], ending: str
) -> None:
    error = ModelNotFound("x", Path("/models"), known)

    assert Texts("en").error(error) == f"There is no model x, neither as a file nor in /models.{ending}"


def test_advice_without_a_smaller_context_names_other_ways() -> None:
    error = NotEnoughMemory(Path("big.gguf"), 5_200_000_000, 3_100_000_000, 512, None)

    sentence = Texts("zh-CN").error(error)

    assert "--ctx" not in sentence
    assert "--ignore-memory" in sentence


@pytest.mark.parametrize(
    ("word", "instead"),
    [
        (r"下载站|(?<!模型)站点|模型站(?!点)", "模型站点"),
        ("校验值", "哈希值"),
        ("基础模型", "基座模型"),
        ("载入", "加载"),
        (r"自带的?演示|应用自带", "内置"),
    ],
)
def test_one_thing_has_one_name_in_chinese(word: str, instead: str) -> None:
    readme = Path(__file__).parents[2] / "README.zh-CN.md"
    texts = {key: catalog().template(key, "zh-CN") for key in catalog().keys("zh-CN")}
    texts["README"] = readme.read_text(encoding="utf-8")

    assert {key for key, text in texts.items() if re.search(word, text)} == set(), instead


@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize("error", [*_errors(ConvertError)], ids=lambda error: error.__name__)
def test_no_option_is_named_that_only_the_converter_has(error: type[Any], language: Language) -> None:
    assert not re.search(r"--(file|force|prompt)\b", Texts(language).error(_sample(error)))


def test_the_converters_errors_speak_through_its_own_catalog() -> None:
    assert "贝拉.gguf" in Texts("zh-CN").error(SourceMissing(Path("贝拉.gguf"), "reason"))


@pytest.mark.parametrize(
    ("language", "impossible"), [("en", "under another name"), ("zh-CN", "换一个名字转换")]
)
def test_what_exists_need_not_be_removed_nor_the_work_renamed(language: Language, impossible: str) -> None:
    """What is got from a hub can't be named, and the file there may be hours of work."""
    said = WindowTexts(language).error(OutputExists(Path("贝拉.gguf")))
    assert "贝拉.gguf" in said
    assert impossible not in said
    assert re.search("worth keeping|想保留", said)
