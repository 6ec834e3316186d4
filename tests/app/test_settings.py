"""Settings and personas: typed, saved whole, and kept through damage and other versions."""

from __future__ import annotations

import json
import threading
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.durable import replaced_file
from app.personas import PersonaStore, load_presets
from app.settings import Settings, SettingsStore, WindowPlace, read_settings
from app.settings_file import SettingsNotSaved
from app.typed_json import JsonMismatch, from_json, parse_json, to_json, valid_text
from convert.i18n import LANGUAGES
from engine.errors import InvalidSampling
from engine.partial_sampling import NO_LIMIT, NOTHING, PartialSampling, check_partial
from engine.types import LoadOptions, Sampling


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Where settings are kept; not made yet."""
    return tmp_path / "设置"


def _saved(folder: Path, name: str = "settings.json") -> dict[str, object]:
    content: dict[str, object] = json.loads((folder / name).read_text(encoding="utf-8"))
    return content


def test_without_a_file_there_are_defaults_and_nothing_is_written(folder: Path) -> None:
    store = SettingsStore(folder)

    assert store.settings == Settings()
    assert store.damaged_path is None
    store.update(theme="system")
    assert not folder.exists()


def test_everything_comes_back(folder: Path) -> None:
    changed = Settings(
        language="zh-CN",
        theme="dark",
        font_scale=1.25,
        window=WindowPlace(800, 600, -10, 20, True),
        sidebar_open=False,
        sidebar_width=300,
        last_conversation=17,
        default_model="模型/贝拉.gguf",
        persona="coder",
        model_sampling={
            "模型/贝拉.gguf": PartialSampling(temperature=0.0, seed=3, stop=("###",)),
            "qwen": PartialSampling(max_tokens=NO_LIMIT),
        },
        load=LoadOptions(context_tokens=2048, threads=4),
        show_statistics=True,
    )
    SettingsStore(folder).update(**{item.name: getattr(changed, item.name) for item in fields(changed)})

    assert SettingsStore(folder).settings == changed
    assert [path.name for path in folder.iterdir()] == ["settings.json"]


def test_keys_of_other_versions_stay(folder: Path) -> None:
    folder.mkdir()
    content = {
        "version": 7,
        "future": {"x": [1]},
        "window": {"width": 900, "monitor": "left"},
        "theme": "dark",
    }
    (folder / "settings.json").write_text(json.dumps(content))
    store = SettingsStore(folder)
    assert (store.settings.theme, store.settings.window.width) == ("dark", 900)
    store.update(font_scale=1.5)
    saved = _saved(folder)

    assert (saved["version"], saved["future"]) == (7, {"x": [1]})
    assert isinstance(saved["window"], dict)
    assert (saved["window"]["monitor"], saved["window"]["width"]) == ("left", 900)


@pytest.mark.parametrize(
    "wrong",
    [
        {"theme": "pink"},
        {"language": 3},
        {"font_scale": 50},
        {"font_scale": "big"},
        {"window": {"width": 1}},
        {"window": []},
        {"model_sampling": {"a": {"temperature": -1}}},
        {"model_sampling": {"a": {"top_k": 1.5}}},
        {"model_sampling": 3},
        {"default_model": 3, "sampling": {"temperature": -1}},
        {"general_sampling": {"temperature": -1}, "model_sampling": {"a": {}}},
        {"load": {"threads": 0}},
        {"sidebar_open": None},
    ],
)
def test_a_wrong_value_is_its_default_and_the_others_stay(folder: Path, wrong: dict[str, object]) -> None:
    folder.mkdir()
    (folder / "settings.json").write_text(json.dumps({"persona": "writer", **wrong}))

    assert SettingsStore(folder).settings == Settings(persona="writer")


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b"null", b"\xff\xfe", b'{"a": NaN}', b"[" * 100_000])
def test_a_damaged_file_is_set_aside(folder: Path, content: bytes) -> None:
    folder.mkdir()
    (folder / "settings.json").write_bytes(content)
    store = SettingsStore(folder)

    assert store.settings == Settings()
    assert store.damaged_path is not None
    assert store.damaged_path.read_bytes() == content
    store.update(theme="dark")
    assert SettingsStore(folder).settings.theme == "dark"
    assert SettingsStore(folder).damaged_path is None


def test_a_file_that_cannot_be_read_is_never_written_over(folder: Path) -> None:
    (folder / "settings.json").mkdir(parents=True)
    store = SettingsStore(folder)
    assert store.settings == Settings()

    with pytest.raises(SettingsNotSaved):
        store.update(theme="dark")
    assert store.settings.theme == "dark"
    assert (folder / "settings.json").is_dir()


def test_settings_out_of_range_are_refused(folder: Path) -> None:
    store = SettingsStore(folder)
    with pytest.raises(InvalidSampling):
        store.set_sampling("a", PartialSampling(top_p=2.0))
    with pytest.raises(TypeError):
        store.update(colour="red")

    assert store.settings == Settings()


def test_each_model_has_values_of_its_own(folder: Path) -> None:
    store = SettingsStore(folder)
    store.set_sampling("a", PartialSampling(temperature=0.1, top_k=5))
    store.set_sampling("b", PartialSampling(max_tokens=NO_LIMIT))
    store.set_sampling("a", PartialSampling(top_k=7))
    assert _saved(folder)["model_sampling"] == {"a": {"top_k": 7}, "b": {"max_tokens": -1}}

    settings = SettingsStore(folder).settings
    assert settings.sampling_of("a") == PartialSampling(top_k=7)
    assert settings.sampling_of("c") == NOTHING
    store.set_sampling("a", NOTHING)
    assert _saved(folder)["model_sampling"] == {"b": {"max_tokens": -1}}


def test_a_wrong_value_of_one_model_costs_no_other_its_values(folder: Path) -> None:
    folder.mkdir()
    content = {"model_sampling": {"a": {"top_p": 7}, "b": {"top_p": 0.7}}}
    (folder / "settings.json").write_text(json.dumps(content))

    assert SettingsStore(folder).settings.model_sampling == {"b": PartialSampling(top_p=0.7)}


def test_who_only_reads_leaves_a_damaged_file_where_it_is(folder: Path) -> None:
    folder.mkdir()
    (folder / "settings.json").write_text("{")

    assert read_settings(folder) == Settings()
    assert (folder / "settings.json").read_text() == "{"
    assert len(list(folder.iterdir())) == 1


def test_reset_keeps_the_window_and_what_is_typed(folder: Path) -> None:
    store = SettingsStore(folder)
    store.update(theme="dark", window=WindowPlace(640, 480), last_conversation=5, new_draft="写到一半")

    assert store.reset() == Settings(window=WindowPlace(640, 480), last_conversation=5, new_draft="写到一半")


def test_threads_change_settings_without_losing_any(folder: Path) -> None:
    store = SettingsStore(folder)
    changes: list[dict[str, Any]] = [
        {"theme": "dark"},
        {"font_scale": 1.1},
        {"persona": "coder"},
        {"sidebar_open": False},
    ]
    threads = [threading.Thread(target=store.update, kwargs=change) for change in changes]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    expected = Settings(theme="dark", font_scale=1.1, persona="coder", sidebar_open=False)
    assert SettingsStore(folder).settings == store.settings == expected


@pytest.mark.parametrize("language", LANGUAGES)
def test_presets_are_whole_in_both_languages(language: str) -> None:
    presets = load_presets("en" if language == "en" else "zh-CN")

    assert [preset.id for preset in presets] == ["assistant", "translator", "writer", "coder", "teacher"]
    for preset in presets:
        assert preset.name
        assert preset.system or preset.id == "assistant"
        check_partial(preset.sampling)


def test_a_preset_is_changed_and_reset(folder: Path) -> None:
    store = PersonaStore(folder)
    original = store.get("coder", "zh-CN")
    store.change(replace(original, system="只写 Python", sampling=PartialSampling(temperature=0.0)))
    changed = PersonaStore(folder).get("coder", "en")
    assert (changed.name, changed.system, changed.is_preset, changed.is_changed) == (
        "编程",
        "只写 Python",
        True,
        True,
    )

    store.reset("coder")
    assert store.get("coder", "zh-CN") == original
    assert PersonaStore(folder).get("coder", "zh-CN") == original


def test_own_personas_come_after_the_presets(folder: Path) -> None:
    store = PersonaStore(folder)
    first = store.add(" 诗人 ", "写诗", NOTHING)
    second = store.add("Chef", "", PartialSampling(seed=1))
    assert first.name == "诗人"
    assert PersonaStore(folder).all("en")[5:] == (first, second)

    store.reset(first.id)
    assert store.all("en")[5:] == (second,)
    assert store.get(first.id, "en").id == "assistant"


def test_a_persona_that_cannot_be_read_stays_in_the_file(folder: Path) -> None:
    folder.mkdir()
    entry = {"name": 3, "future": True}
    (folder / "personas.json").write_text(json.dumps({"personas": {"x": entry}}))
    store = PersonaStore(folder)
    assert len(store.all("en")) == 5
    store.add("a", "b", NOTHING)

    personas = _saved(folder, "personas.json")["personas"]
    assert isinstance(personas, dict)
    assert personas["x"] == entry


def test_a_wrong_persona_is_refused(folder: Path) -> None:
    with pytest.raises(InvalidSampling):
        PersonaStore(folder).add("a", "b", PartialSampling(temperature=-1))
    assert not folder.exists()


def test_a_failed_write_leaves_the_old_file(tmp_path: Path) -> None:
    path = tmp_path / "x.json"
    path.write_bytes(b"old")

    def write_half() -> None:
        with replaced_file(path) as file:
            file.write(b"half")
            raise RuntimeError

    with pytest.raises(RuntimeError):
        write_half()

    assert path.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [path]


@given(st.builds(Sampling, temperature=st.floats(0, 1e9), seed=st.none() | st.integers(0, 2**63 - 1)))
def test_dataclasses_come_back_from_json(sampling: Sampling) -> None:
    assert from_json(Sampling, parse_json(to_json(sampling))) == sampling


@pytest.mark.parametrize(
    ("value", "location"),
    [
        (3, ""),
        ({"top_k": True}, "top_k"),
        ({"top_k": 2**63}, "top_k"),
        ({"temperature": 10**400}, "temperature"),
        ({"stop": "x"}, "stop"),
        ({"stop": ["x", 3]}, "stop[1]"),
    ],
)
def test_what_is_not_the_dataclass_is_named(value: object, location: str) -> None:
    with pytest.raises(JsonMismatch) as caught:
        from_json(Sampling, value)
    assert caught.value.location == location


@given(st.text(st.characters(exclude_categories=()) | st.characters(categories=["Cs"])))
def test_valid_text_can_always_be_written(text: str) -> None:
    valid = valid_text(text)

    assert valid.encode().decode() == valid
    assert valid == text or any(0xD800 <= ord(c) < 0xE000 for c in text)
