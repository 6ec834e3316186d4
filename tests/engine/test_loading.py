"""Loading: refusals before llama.cpp is called, what is reported, and that everything is freed once."""

from __future__ import annotations

import gc
import logging
import struct
import sys
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psutil
import pytest

from builders.chats import GREEDY, ask, user
from builders.gguf_models import Shape, byte_vocabulary, write_model
from engine import memory
from engine.architectures import is_known_architecture
from engine.errors import (
    DamagedHeader,
    GenerationFailed,
    LoadFailed,
    ModelFileError,
    ModelFileMissing,
    NativeLibraryMissing,
    NotEnoughMemory,
    NotGguf,
    OtherFileFormat,
    TruncatedModel,
    UnsupportedArchitecture,
    UnsupportedGgufVersion,
)
from engine.in_process import InProcessBackend
from engine.llama import Context, Model
from engine.native import binding
from engine.types import LoadOptions


def renamed(path: Path, old: bytes, new: bytes) -> Path:
    """The file at `path` with every `old` replaced by `new` of the same length."""
    assert len(old) == len(new)
    path.write_bytes(path.read_bytes().replace(old, new))
    return path


# --- what is reported -------------------------------------------------------------------------------


def test_a_loaded_model_describes_itself(backend: InProcessBackend, models: Path) -> None:
    info = backend.load(models / "bloom.gguf", LoadOptions(threads=1))
    assert info.path == str(models / "bloom.gguf")
    assert (info.name, info.architecture, info.prompt_format) == ("tiny bloom", "bloom", "belle")
    assert info.quantization == "all F32"
    assert info.n_vocab == len(byte_vocabulary().tokens)
    assert (info.trained_context_tokens, info.context_tokens, info.n_threads) == (512, 512, 1)
    assert info.size_bytes == (models / "bloom.gguf").stat().st_size
    assert info.n_parameters > 20_000
    assert len(info.vocabulary) == 32


def test_a_path_may_have_any_characters(backend: InProcessBackend, tmp_path: Path) -> None:
    folder = tmp_path / "模型 été"
    folder.mkdir()
    assert backend.load(write_model(folder / "贝尔.gguf"), LoadOptions()).name == "tiny bloom"


def test_the_context_may_be_chosen(backend: InProcessBackend, models: Path) -> None:
    assert backend.load(models / "llama.gguf", LoadOptions(context_tokens=100)).context_tokens == 100
    assert backend.load(models / "llama.gguf", LoadOptions(context_tokens=1024)).context_tokens == 1024


def test_a_long_trained_context_is_not_taken_by_default(backend: InProcessBackend, tmp_path: Path) -> None:
    path = write_model(tmp_path / "m.gguf", shape=Shape(context=100_000))
    info = backend.load(path, LoadOptions())
    assert (info.trained_context_tokens, info.context_tokens) == (100_000, 4096)


def test_a_prompt_is_evaluated_in_batches_that_take_little_memory(
    backend: InProcessBackend, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[int] = []
    original = Context.__init__

    def record(self: Context, model: Model, **options: int) -> None:
        seen.append(options["n_micro_batch"])
        original(self, model, **options)

    monkeypatch.setattr(Context, "__init__", record)
    tiny = Shape(n_embd=8, n_heads=1, n_layers=1, n_ff=8)
    for n_padding in (0, 100_000):
        path = write_model(tmp_path / "m.gguf", shape=tiny, vocabulary=byte_vocabulary(n_padding=n_padding))
        backend.load(path, LoadOptions())
    assert seen == [128, 128]
    assert ask(backend, [user("hello")]).statistics.generated_tokens > 0


def test_native_log_lines_go_to_logging(
    backend: InProcessBackend,
    models: Path,
    caplog: pytest.LogCaptureFixture,
    capfd: pytest.CaptureFixture[str],
) -> None:
    caplog.set_level(logging.DEBUG, "engine.native")
    backend.load(models / "llama.gguf", LoadOptions())
    assert any("general.architecture" in record.message for record in caplog.records)
    assert capfd.readouterr().err == ""


# --- refusals ---------------------------------------------------------------------------------------


def test_bad_files_are_refused_and_leave_nothing_loaded(backend: InProcessBackend, tmp_path: Path) -> None:
    good = write_model(tmp_path / "good.gguf")
    data = good.read_bytes()
    bad: dict[str, tuple[bytes | None, type[ModelFileError]]] = {
        "missing": (None, ModelFileMissing),
        "zip": (b"PK\x03\x04" + data[4:], OtherFileFormat),
        "other": (b"ggjt" + data[4:], NotGguf),
        "version": (data[:4] + struct.pack("<I", 9) + data[8:], UnsupportedGgufVersion),
        "damaged": (data[:8] + struct.pack("<Q", 2**50) + data[16:], DamagedHeader),
        "cut": (data[:-1000], TruncatedModel),
    }
    for name, (content, expected) in bad.items():
        path = tmp_path / name
        if content is not None:
            path.write_bytes(content)
        backend.load(good, LoadOptions())
        with pytest.raises(expected) as caught:
            backend.load(path, LoadOptions())
        assert caught.value.path == path
    assert backend.load(good, LoadOptions()).n_vocab


@pytest.mark.parametrize("name", ["nope", "bloo_", "Bloom", "", "a b", "../x"])
def test_unknown_architectures(name: str) -> None:
    assert not is_known_architecture(name)


@pytest.mark.parametrize("name", ["bloom", "llama", "gpt2", "qwen3"])
def test_known_architectures(name: str) -> None:
    assert is_known_architecture(name)


def test_an_unknown_architecture_is_refused_by_name(backend: InProcessBackend, tmp_path: Path) -> None:
    path = renamed(write_model(tmp_path / "m.gguf"), b"bloom", b"gloom")
    with pytest.raises(UnsupportedArchitecture) as caught:
        backend.load(path, LoadOptions())
    assert caught.value.architecture == "gloom"


def test_what_llama_cpp_refuses_is_told_in_its_words(backend: InProcessBackend, tmp_path: Path) -> None:
    path = renamed(write_model(tmp_path / "m.gguf"), b"blk.1.ffn_up.weight", b"blk.1.ffn_no.weight")
    with pytest.raises(LoadFailed) as caught:
        backend.load(path, LoadOptions())
    assert "blk.1.ffn_up.weight" in caught.value.reason


def test_a_model_that_does_not_fit_is_refused_with_numbers(
    backend: InProcessBackend, models: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = models / "llama.gguf"
    monkeypatch.setattr(memory, "available_bytes", lambda: 200 << 20)
    options = LoadOptions(context_tokens=1 << 20)
    with pytest.raises(NotEnoughMemory) as caught:
        backend.load(path, options)
    error = caught.value
    assert (error.path, error.available_bytes, error.context_tokens) == (path, 200 << 20, 1 << 20)
    assert error.needed_bytes > error.available_bytes
    assert error.smaller_context_tokens == 512  # what it was trained with
    assert backend.load(path, LoadOptions(context_tokens=512)).context_tokens == 512


def test_the_default_context_is_smaller_where_memory_is_short(
    backend: InProcessBackend, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = write_model(tmp_path / "m.gguf", shape=Shape(n_layers=64, context=4096))
    monkeypatch.setattr(memory, "available_bytes", lambda: 40 << 20)
    assert 1024 <= backend.load(path, LoadOptions()).context_tokens < 4096
    with pytest.raises(NotEnoughMemory):
        backend.load(path, LoadOptions(context_tokens=4096))


def test_no_smaller_context_is_suggested_where_none_fits(
    backend: InProcessBackend, models: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(memory, "available_bytes", lambda: 1000)
    with pytest.raises(NotEnoughMemory) as caught:
        backend.load(models / "llama.gguf", LoadOptions())
    assert caught.value.smaller_context_tokens is None
    assert backend.load(models / "llama.gguf", LoadOptions(ignore_memory=True)).n_vocab


def test_a_missing_library_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "llama_cpp", None)
    with pytest.raises(NativeLibraryMissing) as caught:
        binding.api.__wrapped__()
    assert "llama_cpp" in caught.value.detail


def test_a_failed_evaluation_is_reported_and_the_next_answer_is_right(
    backend: InProcessBackend, models: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    backend.load(models / "llama.gguf", LoadOptions(prompt_format="belle"))
    expected = ask(backend, [user("hello")]).message
    monkeypatch.setattr(binding.api(), "llama_decode", lambda *_: -3)
    with pytest.raises(GenerationFailed) as caught:
        list(backend.chat([user("other")], GREEDY))
    assert caught.value.code == -3
    monkeypatch.undo()
    assert ask(backend, [user("hello")]).message == expected


# --- native resources -------------------------------------------------------------------------------


@pytest.fixture
def balance(monkeypatch: pytest.MonkeyPatch) -> Counter[str]:
    """How many models, contexts and samplers are alive, counted at the native calls."""
    alive: Counter[str] = Counter()
    api = binding.api()

    def count(function: str, kind: str, step: int) -> None:
        original: Callable[..., Any] = getattr(api, function)

        def counting(*arguments: Any) -> Any:
            result = original(*arguments)
            if step < 0 or result:
                alive[kind] += step
            return result

        monkeypatch.setattr(api, function, counting)

    count("llama_model_load_from_file", "model", 1)
    count("llama_model_free", "model", -1)
    count("llama_init_from_model", "context", 1)
    count("llama_free", "context", -1)
    count("llama_sampler_chain_init", "sampler", 1)
    count("llama_sampler_free", "sampler", -1)
    return alive


def test_unloading_frees_everything_once(balance: Counter[str], models: Path) -> None:
    backend = InProcessBackend()
    for name in ("bloom", "llama"):
        backend.load(models / f"{name}.gguf", LoadOptions())
        ask(backend, [user("hello")])
        assert balance == {"model": 1, "context": 1, "sampler": 0}
    backend.unload()
    backend.unload()
    assert balance == {"model": 0, "context": 0, "sampler": 0}


def test_an_abandoned_answer_and_backend_free_everything(balance: Counter[str], models: Path) -> None:
    backend = InProcessBackend()
    backend.load(models / "bloom.gguf", LoadOptions())
    events = backend.chat([user("hello")], GREEDY)
    next(events)
    assert balance["sampler"] == 1
    del events, backend
    gc.collect()
    assert balance == {"model": 0, "context": 0, "sampler": 0}


def test_a_load_that_fails_half_way_frees_the_model(
    balance: Counter[str], models: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(binding.api(), "llama_init_from_model", lambda *_: None)
    with pytest.raises(LoadFailed):
        InProcessBackend().load(models / "bloom.gguf", LoadOptions())
    assert balance["model"] == 0


def test_closed_objects_refuse_to_be_used(models: Path) -> None:
    model = Model(models / "bloom.gguf")
    context = Context(model, context_tokens=64, n_batch=64, n_micro_batch=64, n_threads=1)
    model.close()
    with pytest.raises(ValueError, match="Context is closed"):
        context.evaluate([5])
    with pytest.raises(ValueError, match="Model is closed"):
        model.tokenize("x")


def test_twenty_loads_leave_no_memory_behind(models: Path) -> None:
    backend = InProcessBackend()
    process = psutil.Process()

    def cycle() -> int:
        backend.load(models / "llama.gguf", LoadOptions(context_tokens=4096))
        ask(backend, [user("hello")])
        backend.unload()
        return process.memory_info().rss

    for _ in range(3):
        before = cycle()
    for _ in range(20):
        after = cycle()
    assert after - before < 8 << 20
