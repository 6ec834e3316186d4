"""The conversion screen in a real browser: every published form of BELLE, and giving up on the way."""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

from builders.checkpoints import write_bloom, write_llama
from builders.encrypted import encrypt_folder
from builders.ggml_files import write_bloomz_ggml, write_llama_ggml
from builders.gguf_models import write_model
from builders.gptq import write_gptq
from builders.lora import write_adapter
from builders.meta_files import write_meta
from builders.tokenizers import write_llama_tokenizer
from builders.torch_zip import write_torch_zip

Start = Callable[..., Any]
Look = Callable[..., Any]

TALL = 1500  # all steps are on the screen without scrolling
DEMO = Path(__file__).resolve().parents[2] / "assets" / "demo"
KEY = bytes(range(256)) * 40


def _torch_folder(folder: Path, *, is_llama: bool) -> Path:
    checkpoint = (write_llama if is_llama else write_bloom)(folder)
    (folder / "model.safetensors").unlink()
    write_torch_zip(folder / "pytorch_model.bin", checkpoint.weights)
    return folder


def _look_at(app: Any, path: Path | str) -> None:
    """Open the screen, and give it a source."""
    app.click("convert")
    app.wait_for(lambda: app.has("source") or app.has("convert-new"), "the screen")
    if app.has("convert-new"):
        app.click("convert-new")
        app.wait_for(lambda: app.has("source"), "the field")
    app.fill("source", str(path))
    app.page.keyboard.press("Enter")


def _convert(
    app: Any,
    path: Path | str,
    recognised: str,
    needs: dict[str, Path] | None = None,
    *,
    ending: str = "Saved as",
) -> None:
    """From a path to a model: `needs` are the fields that are asked for besides, and their answers."""
    _look_at(app, path)
    for field, answer in (needs or {}).items():
        app.wait_for(lambda field=field: app.has(field), field)
        assert not app.has("convert-start")
        app.fill(field, str(answer))
        app.page.keyboard.press("Enter")
    app.wait_for_label("recognised", recognised)
    app.wait_for(lambda: app.has("convert-start"), "the button")
    if ending == "Saved as":  # until the disk was looked at, the button takes no clicks
        app.wait_for(lambda: app.text("disk-need"), "what the disk has")
    app.page.wait_for_timeout(500)
    app.click("convert-start")
    app.wait_for_label("convert-progress", ending)


def test_every_form_becomes_a_model_and_one_of_them_chats(
    start: Start, look: Look, home: Path, tmp_path: Path
) -> None:
    sources = tmp_path / "检查点 2023"
    safetensors = sources / "真 模型"
    safetensors.mkdir(parents=True)
    for name in ("config.json", "tokenizer.json", "model.safetensors"):
        shutil.copy(DEMO / name, safetensors / name)
    torch = _torch_folder(sources / "旧 torch", is_llama=False)
    encrypt_folder(_torch_folder(tmp_path / "plain", is_llama=True), sources / "加密 enc", KEY)
    key = sources / "钥匙 1.pth"
    key.write_bytes(KEY)
    bloom = write_bloom(sources / "分词器 bloom", hidden=256)
    (sources / "分词器 bloom" / "model.safetensors").unlink()
    gptq = write_gptq(sources / "gptq" / "bloom7b-2m-4bit-128g.pt", bloom).path
    llama = write_llama(tmp_path / "llama", n_ff=192, tokenizer=False)
    ggml = sources / "旧 ggml" / "ggml-model-q4_0.bin"
    ggml.parent.mkdir()
    write_llama_ggml(ggml, llama, form="ggjt", version=2)
    meta = sources / "7B 原始"
    write_meta(meta, llama)
    write_llama_tokenizer(meta, 520)
    bloomz = sources / "旧 bloomz" / "ggml-model-q4_0.bin"
    bloomz.parent.mkdir()
    write_bloomz_ggml(bloomz, bloom)
    adapter = sources / "适配器 lora"
    adapter.mkdir()
    base = write_bloom(sources / "基座")
    write_adapter(adapter, base.weights, ["query_key_value"])
    gguf = sources / "成品 model.gguf"
    write_model(gguf)
    app = look(start(), height=TALL)

    _convert(app, torch, "PyTorch checkpoint")
    _convert(app, sources / "加密 enc", "PyTorch checkpoint, encrypted", {"key-file": key})
    _convert(app, gptq, "quantized with GPTQ", {"tokenizer-path": sources / "分词器 bloom"})
    _convert(app, ggml, "ggml file of 2023")
    _convert(app, bloomz, "bloomz.cpp file of 2023", {"tokenizer-path": sources / "分词器 bloom"})
    _convert(app, f'"{meta}"', "Meta's own LLaMA files")
    _convert(app, adapter, "with a LoRA adapter merged in", {"base-path": base.folder})
    _convert(app, gguf, "It needs no conversion", ending="It is in your models")
    _convert(app, safetensors, "Hugging Face checkpoint (safetensors)")

    names = sorted(path.stem for path in (home / "models").iterdir())
    assert len(names) == 9
    app.click("convert-show")
    app.page.set_viewport_size({"width": 1280, "height": 3_200})
    app.wait_for(lambda: app.has("local-9"), "nine models")
    rows = [app.text(f"local-{number}") for number in range(1, 10)]
    assert all(any(name in row for row in rows) for name in names)
    app.click("convert")  # before the window changes, which moves what lies at its foot
    app.page.set_viewport_size({"width": 1280, "height": TALL})
    app.click("convert-chat")
    app.wait_for_label("model-in-use", "真 模型")
    app.ask("我的聊天会被上传吗")
    reply = app.wait_for_answer()
    assert any("\u4e00" <= character <= "\u9fff" for character in reply)
    assert app.reached == []


def test_what_is_wrong_or_missing_is_told_in_both_languages(
    start: Start, look: Look, home: Path, tmp_path: Path
) -> None:
    encrypt_folder(_torch_folder(tmp_path / "plain", is_llama=True), tmp_path / "加密 enc", KEY)
    (tmp_path / "错 key.pth").write_bytes(bytes(reversed(KEY)))
    (tmp_path / "空").mkdir()
    app = look(start(), height=TALL)

    _look_at(app, tmp_path / "没有")
    app.wait_for_label("source-problem", "没有")
    in_english = app.text("source-problem")
    _look_at(app, tmp_path / "空")
    app.wait_for_label("source-problem", "is empty")
    _look_at(app, tmp_path / "加密 enc")
    app.wait_for_label("need-key", "consolidated.00.pth")
    app.fill("key-file", str(tmp_path / "错 key.pth"))
    app.page.keyboard.press("Enter")
    app.wait_for_label("key-file-problem", "错 key.pth is not the key")
    assert not app.has("convert-start")

    app.choose_language("中文")
    app.click("convert")
    app.wait_for_label("key-file-problem", "错 key.pth")
    app.wait_for_text("密钥文件")
    app.wait_for(lambda: "is not the key" not in app.page_text(), "the sentence in Chinese")
    _look_at(app, tmp_path / "没有")
    app.wait_for(lambda: "没有" in app.text("source-problem"), "the sentence")
    assert app.text("source-problem") != in_english
    assert not (home / "models").exists() or os.listdir(home / "models") == []


def test_cancelling_a_conversion_leaves_nothing(start: Start, look: Look, home: Path, tmp_path: Path) -> None:
    write_bloom(tmp_path / "大 模型", hidden=1024, n_layer=8)
    app = look(start(), height=TALL)
    _look_at(app, tmp_path / "大 模型")
    app.wait_for(lambda: app.text("disk-need"), "what the disk has")
    app.page.wait_for_timeout(500)
    app.click("convert-start")
    app.wait_for(lambda: re.search(r"[1-9]\d*%", app.text("convert-progress")), "a percent")
    assert os.listdir(home / "models")
    app.click("convert-pause")  # so that it does not come to its end while one reads the question
    app.wait_for(lambda: app.has("convert-resume"), "the pause")

    app.click("convert-cancel")
    app.wait_for_text("Cancel 大 模型-q4_k_m?")
    app.press("Cancel it")

    app.wait_for(lambda: app.has("convert-start"), "the choices again")
    app.wait_for(lambda: app.has("recognised"), "what it is")
    assert os.listdir(home / "models") == []
    assert os.listdir(home / "jobs") == []
