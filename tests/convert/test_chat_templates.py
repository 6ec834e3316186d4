"""The chat template that comes with a checkpoint, in every place where transformers writes or reads one."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from transformers import AutoTokenizer, PreTrainedTokenizerFast

from builders.checkpoints import write_bloom, write_json, write_llama
from builders.ggml_files import write_llama_ggml
from convert.chat_templates import OwnTemplate, read_templates
from convert.cli import main
from convert.detect import open_checkpoint
from convert.errors import DamagedFile, InvalidFile, SeveralTemplates
from convert.sources.folder import LocalFolder
from engine.prompt import chat_template

PLAIN = "{{ messages[0]['content'] }}"
NAMED = {"default": "{{ 'd' }}\n", "tool_use": "{{ 't' }}", "rag": "{{ 'r' }}"}


@pytest.fixture
def checkpoint(tmp_path: Path) -> Path:
    return write_bloom(tmp_path / "模型").folder


def save(folder: Path, template: Any, *, as_files: bool) -> None:
    """The tokenizer in `folder` written anew by transformers, with this template."""
    tokenizer = PreTrainedTokenizerFast(tokenizer_file=str(folder / "tokenizer.json"))
    tokenizer.chat_template = template
    tokenizer.save_pretrained(folder, save_jinja_files=as_files)


def taken(folder: Path) -> OwnTemplate:
    found = read_templates(LocalFolder(folder))
    assert found is not None
    return found.chosen()


def transformers_takes(folder: Path) -> str:
    return str(AutoTokenizer.from_pretrained(folder).get_chat_template())


def set_template(folder: Path, value: Any) -> None:
    path = folder / "tokenizer_config.json"
    write_json(path, json.loads(path.read_text(encoding="utf-8")) | {"chat_template": value})


@pytest.mark.parametrize("as_files", [True, False])
@pytest.mark.parametrize("template", [PLAIN, NAMED, {"default": PLAIN}], ids=["one", "several", "named"])
def test_what_transformers_saves_is_taken_as_it_takes_it(
    checkpoint: Path, template: Any, as_files: bool
) -> None:
    save(checkpoint, template, as_files=as_files)

    assert taken(checkpoint).text == transformers_takes(checkpoint)


@pytest.mark.parametrize(
    ("as_files", "place"),
    [(True, "chat_template.jinja"), (False, "tokenizer_config.json: default")],
)
def test_inspect_names_the_template_that_is_taken(
    checkpoint: Path, capsys: pytest.CaptureFixture[str], as_files: bool, place: str
) -> None:
    save(checkpoint, NAMED, as_files=as_files)

    assert main(["inspect", str(checkpoint), "--json"]) == 0
    report = json.loads(capsys.readouterr().out)
    assert report["prompt_format"] == {"name": "template", "reason": "own-template", "place": place}
    assert main(["inspect", str(checkpoint), "--lang", "zh-CN"]) == 0
    assert f"模型自带的模板，取自 {place}" in capsys.readouterr().out


def test_files_count_before_the_settings(checkpoint: Path) -> None:
    save(checkpoint, PLAIN, as_files=False)
    (checkpoint / "chat_template.jinja").write_bytes("第一行\r\n第二行".encode())

    assert taken(checkpoint).text == transformers_takes(checkpoint) == "第一行\n第二行"


def test_a_processors_template_is_the_last_to_be_taken(checkpoint: Path) -> None:
    write_json(checkpoint / "chat_template.json", {"chat_template": "{{ 'processor' }}"})
    assert taken(checkpoint) == OwnTemplate("{{ 'processor' }}", "chat_template.json")

    save(checkpoint, PLAIN, as_files=False)
    assert taken(checkpoint).text == transformers_takes(checkpoint) == PLAIN


@pytest.mark.parametrize("as_files", [True, False])
def test_nothing_is_guessed_among_several_without_a_default(checkpoint: Path, as_files: bool) -> None:
    save(checkpoint, {"rag": "{{ 1 }}", "tool_use": "{{ 2 }}"}, as_files=as_files)
    with pytest.raises(ValueError, match="no default specified"):
        transformers_takes(checkpoint)

    with open_checkpoint(checkpoint) as opened:
        with pytest.raises(SeveralTemplates) as refused:
            opened.prompt("auto")
        assert opened.prompt("none").name == "base"
    assert refused.value.names == ("rag", "tool_use")


def test_the_only_one_is_taken_whatever_its_name(checkpoint: Path) -> None:
    save(checkpoint, {"chat": PLAIN}, as_files=True)
    assert taken(checkpoint) == OwnTemplate(PLAIN, "additional_chat_templates/chat.jinja")


@pytest.mark.parametrize("empty", ["", " \n"])
def test_an_empty_template_is_no_reason_to_write_ours(checkpoint: Path, empty: str) -> None:
    save(checkpoint, None, as_files=False)
    with open_checkpoint(checkpoint) as opened:
        assert opened.prompt("auto").name == "belle"

    set_template(checkpoint, empty)
    assert transformers_takes(checkpoint) == empty
    with open_checkpoint(checkpoint) as opened:
        prompt = opened.prompt("auto")
    assert (prompt.name, prompt.reason) == ("base", "empty-template")
    assert prompt.template == chat_template("base")


@pytest.mark.parametrize(
    "value",
    [7, [], {}, ["text"], [{"name": "default"}], [{"name": 1, "template": "x"}], {"default": None}],
    ids=str,
)
def test_what_can_be_no_template_is_refused(checkpoint: Path, value: Any) -> None:
    save(checkpoint, None, as_files=False)
    set_template(checkpoint, value)
    with pytest.raises(InvalidFile, match="chat_template"):
        taken(checkpoint)


def test_a_template_that_is_no_text_is_damaged(checkpoint: Path) -> None:
    (checkpoint / "chat_template.jinja").write_bytes(b"\xff\xfe{{ 1 }}")
    with pytest.raises(DamagedFile, match="not_utf8"):
        taken(checkpoint)


def test_a_template_beside_the_weights_counts_too(checkpoint: Path, tmp_path: Path) -> None:
    other = write_bloom(tmp_path / "other").folder
    (checkpoint / "chat_template.jinja").write_text(PLAIN)
    with open_checkpoint(checkpoint, other) as opened:
        assert opened.prompt("auto").template == PLAIN

    (other / "chat_template.jinja").write_text("{{ 'other' }}")
    with open_checkpoint(checkpoint, other) as opened:
        assert opened.prompt("auto").template == "{{ 'other' }}"


def test_a_file_of_2023_takes_the_template_of_the_tokenizer_it_is_given(tmp_path: Path) -> None:
    llama = write_llama(tmp_path / "vicuna", n_ff=192)
    (llama.folder / "chat_template.jinja").write_text(PLAIN)
    write_llama_ggml(tmp_path / "ggml-model-f16.bin", llama)

    with open_checkpoint(tmp_path / "ggml-model-f16.bin", llama.folder) as opened:
        assert opened.prompt("auto").template == PLAIN
