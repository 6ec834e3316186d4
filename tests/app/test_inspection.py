"""Every form is recognised, everything that is missing is named, and hostile files are refused quickly."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from app.components.convert.convert_words import form_text, need_text, reason_text
from app.components.work.job_text import error_text
from app.i18n import WindowTexts
from app.models.inspection import CheckpointFacts, GgufFacts, Given, Inspection, Need, inspect
from builders.checkpoints import write_bloom, write_llama
from builders.encrypted import encrypt_folder
from builders.ggml_files import write_bloomz_ggml, write_llama_ggml
from builders.gguf_models import write_model
from builders.gptq import write_gptq
from builders.lora import write_adapter
from builders.meta_files import write_meta
from builders.tokenizers import write_bloom_tokenizer, write_llama_tokenizer
from builders.torch_zip import write_torch_zip
from convert.errors import SourceMissing, WrongKey
from convert.forms import FORMS
from convert.i18n import LANGUAGES, Language
from engine.models.machine import Machine

MACHINE = Machine(64 << 30, 60 << 30, 8, None, 35_000_000_000)
KEY = bytes(range(256)) * 64


def look(given: Given | Path) -> Inspection:
    return inspect(given if isinstance(given, Given) else Given(given), lambda: MACHINE)


def facts(given: Given | Path) -> CheckpointFacts:
    found = look(given)
    assert isinstance(found.facts, CheckpointFacts), found
    assert not any(need.is_open for need in found.needs)
    return found.facts


def need(given: Given | Path, kind: str) -> Need:
    """The one thing that is missing, which is of this kind, and said in both languages."""
    found = look(given)
    assert found.facts is None
    assert found.refusal is None
    (one,) = [each for each in found.needs if each.is_open]
    assert one.kind == kind
    for language in LANGUAGES:
        texts = WindowTexts(language)
        text = need_text(one, texts) + (error_text(one.problem, texts) if one.problem else "")
        assert text
        assert "--" not in text
    return one


def torch_folder(folder: Path) -> Path:
    checkpoint = write_bloom(folder)
    (folder / "model.safetensors").unlink()
    write_torch_zip(folder / "pytorch_model.bin", checkpoint.weights)
    return folder


def ggml(folder: Path) -> Path:
    folder.mkdir()
    write_llama_ggml(folder / "ggml-model-q4_0.bin", write_llama(folder / "plain", n_ff=192))
    return folder / "ggml-model-q4_0.bin"


def meta(folder: Path) -> Path:
    checkpoint = write_llama(folder / "plain")
    write_meta(folder / "7B", checkpoint)
    write_llama_tokenizer(folder)
    return folder / "7B"


FORM_WRITERS: dict[str, Callable[[Path], Path]] = {
    "safetensors": lambda folder: write_bloom(folder).folder,
    "torch": torch_folder,
    "ggml": ggml,
    "meta": meta,
}


@pytest.mark.parametrize("form", FORM_WRITERS)
def test_a_complete_checkpoint_is_recognised_and_needs_nothing(tmp_path: Path, form: str) -> None:
    path = FORM_WRITERS[form](tmp_path / "模型 文件夹")
    found = facts(path)
    assert found.form.startswith(FORMS[form].label)
    assert found.n_parameters > 10_000
    assert found.size_bytes > 10_000
    assert sum(option.is_recommended for option in found.types) == 1
    for language in LANGUAGES:
        assert form_text(found.form, WindowTexts(language))
        assert reason_text(found, WindowTexts(language))


def test_a_form_and_its_details_have_the_commas_of_the_language() -> None:
    for form in ("ggml (2023), ggjt v2, q4_0 + .enc", "GPTQ 4-bit, group 128"):
        assert "，" in form_text(form, WindowTexts("zh-CN"))
        assert ", " not in form_text(form, WindowTexts("zh-CN"))
        assert "，" not in form_text(form, WindowTexts("en"))
    assert form_text("ggml (2023), ggjt v2, q4_0", WindowTexts("en")) == "ggml file of 2023, ggjt v2, q4_0"


def test_one_weight_file_stands_for_its_folder(tmp_path: Path) -> None:
    folder = torch_folder(tmp_path / "model")
    assert facts(folder / "pytorch_model.bin") == facts(folder)


def test_an_encrypted_folder_asks_for_its_key_and_says_what_is_wrong_with_another(tmp_path: Path) -> None:
    write_llama(tmp_path / "plain")
    folder = tmp_path / "encrypted"
    encrypt_folder(tmp_path / "plain", folder, KEY)
    assert need(folder, "key").problem is None

    wrong = tmp_path / "wrong.pth"
    wrong.write_bytes(b"\x55" * 5000)
    given = Given(folder, key=wrong)
    assert isinstance(need(given, "key").problem, WrongKey)
    assert need(replace(given, key=tmp_path / "nowhere"), "key").problem is not None

    wrong.write_bytes(KEY)
    assert facts(given).form == "safetensors + .enc"
    assert [each.kind for each in look(given).needs] == ["key"]


def test_a_gptq_file_asks_for_config_and_tokenizer_of_the_original(tmp_path: Path) -> None:
    plain = write_llama(tmp_path / "plain", hidden=128)
    path = tmp_path / "gptq" / "llama7b-2m-4bit-128g.pt"
    write_gptq(path, plain, group=64)
    assert need(path, "config").problem is None
    (tmp_path / "empty").mkdir()
    assert need(Given(path, tokenizer=tmp_path / "empty"), "config").problem is not None
    assert facts(Given(path, tokenizer=plain.folder)).types[0].name == "auto"


def test_a_bloomz_cpp_file_asks_for_a_tokenizer(tmp_path: Path) -> None:
    checkpoint = write_bloom(tmp_path / "plain")
    path = tmp_path / "ggml-model-q4_0.bin"
    write_bloomz_ggml(path, checkpoint)
    need(path, "tokenizer")
    assert need(Given(path, tokenizer=tmp_path / "nowhere"), "tokenizer").problem is not None
    write_llama_tokenizer(tmp_path)
    assert facts(Given(path, tokenizer=checkpoint.folder / "tokenizer.json")).form.startswith("bloomz.cpp")


def test_a_tokenizer_of_another_model_is_refused_beside_its_field(tmp_path: Path) -> None:
    write_bloom(tmp_path / "model", tokenizer=False)
    assert need(tmp_path / "model", "tokenizer").gap is not None
    other = tmp_path / "other"
    other.mkdir()
    write_bloom_tokenizer(other, 600)
    assert need(Given(tmp_path / "model", tokenizer=other), "tokenizer").problem is not None
    (other / "tokenizer.json").write_text("{")
    assert need(Given(tmp_path / "model", tokenizer=other), "tokenizer").problem is not None


def test_a_missing_config_or_shard_is_named(tmp_path: Path) -> None:
    write_llama(tmp_path / "one")
    (tmp_path / "one" / "config.json").unlink()
    need(tmp_path / "one", "config")
    write_llama(tmp_path / "two", n_shards=3)
    shard = tmp_path / "two" / "model-00002-of-00003.safetensors"
    data = shard.read_bytes()
    shard.unlink()
    gap = need(tmp_path / "two", "files").gap
    assert shard.name in str(gap)
    shard.write_bytes(data[: len(data) // 2])
    need(tmp_path / "two", "files")
    shard.write_bytes(b"version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 12\n")
    need(tmp_path / "two", "files")
    shard.write_bytes(data)
    facts(tmp_path / "two")


def test_metas_files_ask_for_their_params(tmp_path: Path) -> None:
    folder = meta(tmp_path)
    (folder / "params.json").unlink()
    need(folder, "files")


def test_of_several_weight_files_one_must_be_named(tmp_path: Path) -> None:
    plain = write_llama(tmp_path / "plain", hidden=128)
    for name in ("a-4bit.pt", "b-8bit.pt"):
        write_gptq(tmp_path / "gptq" / name, plain, bits=4 if "4" in name else 8, group=64)
    assert need(tmp_path / "gptq", "choice").choices == ("a-4bit.pt", "b-8bit.pt")
    given = Given(tmp_path / "gptq", file="b-8bit.pt", tokenizer=plain.folder)
    assert facts(given).files == ("b-8bit.pt",)


def test_an_adapter_asks_for_its_base(tmp_path: Path) -> None:
    base = write_bloom(tmp_path / "base")
    write_adapter(tmp_path / "adapter", base.weights, ["query_key_value"])
    gap = need(tmp_path / "adapter", "base").gap
    assert "BelleGroup/BELLE-7B-2M" in str(gap)
    found = facts(Given(tmp_path / "adapter", base=base.folder))
    assert found.form == "safetensors + LoRA"
    other = write_bloom(tmp_path / "other", hidden=32)
    for wrong in (other.folder, tmp_path / "adapter", tmp_path / "nowhere", tmp_path):
        assert need(Given(tmp_path / "adapter", base=wrong), "base").problem is not None


@pytest.mark.parametrize("language", LANGUAGES)
def test_an_adapter_with_new_words_asks_for_their_tokenizer(tmp_path: Path, language: Language) -> None:
    base = write_llama(tmp_path / "base", n_layer=1)
    whole = {
        f"base_model.model.{name}.weight": np.ones((530, 64), np.float32)
        for name in ("model.embed_tokens", "lm_head")
    }
    adapter = write_adapter(tmp_path / "adapter", base.weights, ["q_proj"], extra=whole).folder
    missing = need(Given(adapter, base=base.folder), "tokenizer")
    assert "530" in need_text(missing, WindowTexts(language))
    assert "--" not in need_text(missing, WindowTexts(language))
    write_llama_tokenizer(tmp_path, 530)
    found = facts(Given(adapter, base=base.folder, tokenizer=tmp_path))
    said = "\n".join(WindowTexts(language).note(note) for note in found.notes)
    assert all(part in said for part in ("530", "520", "embed_tokens.weight", "LoRA"))


def test_a_gguf_needs_no_conversion(tmp_path: Path) -> None:
    path = write_model(tmp_path / "文件夹.gguf")
    for each in (path, tmp_path):
        found = look(each)
        assert isinstance(found.facts, GgufFacts)
        assert found.facts.path == path
        assert found.facts.size_bytes == path.stat().st_size
    write_model(tmp_path / "second.gguf")
    assert need(tmp_path, "choice").choices == ("second.gguf", "文件夹.gguf")
    assert isinstance(look(Given(tmp_path, file="second.gguf")).facts, GgufFacts)


def test_a_damaged_gguf_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "damaged.gguf"
    path.write_bytes(write_model(tmp_path / "whole.gguf").read_bytes()[:500])
    assert look(path).refusal is not None
    path.write_bytes(b"")
    assert look(path).refusal is not None


def garbage(folder: Path) -> list[Path]:
    """Things that are no model, some of them made to do harm."""
    folder.mkdir()
    (folder / "empty").mkdir()
    files = {
        "noise.bin": os.urandom(100_000),
        "noise.pt": os.urandom(100_000),
        "noise.safetensors": b"\xff" * 100_000,
        "bomb.safetensors": (1 << 40).to_bytes(8, "little") + b"{" * 1000,
        "text.txt": b"hello",
        "nothing.bin": b"",
        "page.pt": b"<!DOCTYPE html>",
        "x" * 64 + ".enc": b"short",
        "ggml.bin": b"lmgg" + b"\xff" * 1000,
        "ggjt.bin": b"tjgg\x03\0\0\0" + b"\xff" * 1000,
    }
    for name, data in files.items():
        (folder / name).write_bytes(data)
    odd = [folder / "nowhere", Path("a\0b"), Path("/" + "n" * 5000), Path("/dev/zero"), folder / "empty"]
    if hasattr(os, "mkfifo"):
        os.mkfifo(folder / "pipe.gguf")
        odd.append(folder / "pipe.gguf")
    (folder / "deep").mkdir()
    (folder / "deep" / "config.json").write_text("[" * 100_000)
    (folder / "deep" / "model.safetensors").write_bytes(b"\0" * 16)
    (folder / "link").symlink_to(folder / "link")
    return [*odd, folder / "deep", folder / "link", *(folder / name for name in files)]


def test_garbage_is_refused_quickly_and_in_both_languages(tmp_path: Path) -> None:
    for path in garbage(tmp_path / "垃圾"):
        started = time.monotonic()
        found = look(path)
        assert time.monotonic() - started < 2, path
        assert found.facts is None
        errors = [error for each in found.needs for error in (each.gap, each.problem)]
        said = [error for error in (found.refusal, *errors) if error is not None]
        assert said, path
        for language in LANGUAGES:
            for error in said:
                assert error_text(error, WindowTexts(language))


def test_a_path_that_is_not_there_says_so(tmp_path: Path) -> None:
    refusal = look(tmp_path / "没有").refusal
    assert isinstance(refusal, SourceMissing)
