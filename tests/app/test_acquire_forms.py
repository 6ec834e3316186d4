"""Getting GPTQ checkpoints, 2023 ggml files and Meta's folders from a local hub, converted on the way."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from app.models.acquire import Wish, acquire
from app.models.progress import WorkDone
from builders.byte_level import write_byte_level_tokenizer
from builders.checkpoints import write_bloom, write_llama
from builders.encrypted import encrypt_folder
from builders.ggml_files import write_bloomz_ggml, write_llama_ggml
from builders.gptq import write_gptq, write_settings
from builders.hub import LocalHub, Seen
from builders.meta_files import write_meta
from builders.packed_weights import Quantize, awq, four_bit_as, fp8_as, int8, write_packed
from builders.qwen import write_qwen
from builders.tokenizers import write_llama_tokenizer, write_llama_tokenizer_of_transformers_5
from builders.torch_old import write_old_torch
from convert.detect import open_checkpoint
from convert.errors import NotACheckpoint, SeveralWeightFiles
from convert.pipeline import convert
from engine.models.endpoints import Endpoints
from engine.models.reply import Patience

REPO = "BelleGroup/BELLE-tiny"
FAST = Patience(connect_s=2, stall_s=3, n_failures=4, backoff_s=0.01)
KEY = bytes(range(256)) * 40


@pytest.fixture
def models(tmp_path: Path) -> Path:
    folder = tmp_path / "模型"
    folder.mkdir()
    return folder


def get(wish: Wish, folder: Path, hub: LocalHub) -> WorkDone:
    *_, last = acquire(wish, folder, Endpoints((hub.url,)), patience=FAST, threads=2)
    assert isinstance(last, WorkDone)
    return last


def convert_offline(path: Path, output: Path, wish: Wish) -> bytes:
    tokenizer = Path(wish.tokenizer) if wish.tokenizer else None
    key = Path(wish.key) if wish.key else None
    with open_checkpoint(path, tokenizer, key, file=wish.file) as checkpoint:
        list(convert(checkpoint.plan(wish.type_name, checkpoint.prompt(wish.prompt)), output))
    return output.read_bytes()


def ranges(seen: list[Seen]) -> list[tuple[int, int]]:
    texts = [(each.range or "").removeprefix("bytes=").split("-") for each in seen if each.method == "GET"]
    return [(int(first), int(last) + 1) for first, last in texts]


@pytest.mark.parametrize("target", ["auto", "q4_k_m", "f32"])
@pytest.mark.parametrize(
    ("file", "options"),
    [
        ("bloom7b-2m-4bit-128g.pt", {"group": 64}),
        ("bloom7b-2m-8bit-128g.pt", {"bits": 8, "group": -1}),
        ("gptq_model-4bit-128g.safetensors", {"group": 64, "order": "shuffled"}),
    ],
)
def test_a_gptq_checkpoint_is_converted_while_it_comes(
    tmp_path: Path, models: Path, file: str, options: dict[str, object], target: str
) -> None:
    """Its tokenizer and config.json are another repository's, as BELLE published it."""
    tokenizer, source = tmp_path / "tokenizer", tmp_path / "source"
    checkpoint = write_bloom(tokenizer, hidden=256, n_layer=4)
    (tokenizer / "model.safetensors").unlink()
    write_gptq(source / file, checkpoint, **options)  # type: ignore[arg-type]
    wish = Wish(REPO, target=target, tokenizer=str(tokenizer), file=file)
    expected = convert_offline(source, tmp_path / "offline.gguf", wish)
    with LocalHub() as hub:
        hub.add_folder(REPO, source)

        done = get(wish, models, hub)
        asked = ranges(hub.file_requests("lfs"))

    assert done.path.read_bytes() == expected
    assert os.listdir(models) == [done.path.name]
    assert sum(stop - start for start, stop in asked) < (source / file).stat().st_size * 1.2 + (256 << 10)


@pytest.mark.parametrize("is_symmetric", [False, None])
def test_the_layers_of_a_gptq_checkpoint_are_asked_for_in_advance(
    tmp_path: Path, models: Path, is_symmetric: bool | None
) -> None:
    """Three parts a layer, and hardly more requests than layers; one more each to look at zero points."""
    checkpoint = write_llama(tmp_path / "tokenizer", hidden=512, n_ff=1024, n_layer=8)
    written = write_gptq(tmp_path / "source" / "llama7b-4bit-128g.pt", checkpoint)
    if is_symmetric is not None:
        write_settings(tmp_path / "source", sym=is_symmetric)
    wish = Wish(REPO, target="auto", tokenizer=str(tmp_path / "tokenizer"))
    with LocalHub() as hub:
        hub.add_folder(REPO, tmp_path / "source")
        get(wish, models, hub)
        asked = ranges(hub.file_requests("lfs"))

    n_parts = 3 * len(written.layers)
    assert n_parts == 168
    assert len(asked) < len(written.layers) * (2 if is_symmetric is False else 3)
    assert sum(stop - start for start, stop in asked) < written.path.stat().st_size * 1.2 + (256 << 10)


def test_an_encrypted_gptq_checkpoint_is_converted_while_it_comes(tmp_path: Path, models: Path) -> None:
    checkpoint = write_llama(tmp_path / "plain", hidden=256)
    (tmp_path / "plain" / "model.safetensors").unlink()
    write_gptq(tmp_path / "plain" / "llama7b-4bit-128g.pt", checkpoint, group=64)
    encrypt_folder(tmp_path / "plain", tmp_path / "enc", KEY)
    (tmp_path / "key.pth").write_bytes(KEY)
    wish = Wish(REPO, target="auto", key=str(tmp_path / "key.pth"))
    expected = convert_offline(tmp_path / "enc", tmp_path / "offline.gguf", wish)
    with LocalHub() as hub:
        hub.add_folder(REPO, tmp_path / "enc")
        assert get(wish, models, hub).path.read_bytes() == expected


def test_one_of_several_encrypted_gptq_checkpoints_is_converted_under_its_name_on_the_hub(
    tmp_path: Path, models: Path
) -> None:
    """As BELLE-LLaMA-7B-2M-gptq-enc: two variants, each named after the hash of what it was."""
    checkpoint = write_llama(tmp_path / "tokenizer", hidden=256)
    (tmp_path / "tokenizer" / "model.safetensors").unlink()
    for bits in (4, 8):
        path = tmp_path / "plain" / f"llama7b-2m-{bits}bit-128g.pt"
        write_gptq(path, checkpoint, group=64, bits=bits)
    encrypt_folder(tmp_path / "plain", tmp_path / "enc", KEY)
    (tmp_path / "key.pth").write_bytes(KEY)
    name = next(path.name for path in (tmp_path / "enc").iterdir() if "8bit" in path.name)
    assert name.endswith(".enc")
    wish = Wish(
        REPO,
        target="auto",
        file=name,
        key=str(tmp_path / "key.pth"),
        tokenizer=str(tmp_path / "tokenizer"),
    )
    expected = convert_offline(tmp_path / "enc", tmp_path / "offline.gguf", wish)
    with LocalHub() as hub:
        hub.add_folder(REPO, tmp_path / "enc")
        assert get(wish, models, hub).path.read_bytes() == expected


def test_a_folder_of_this_disk_that_is_called_like_a_repository_is_left_alone(
    tmp_path: Path, models: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    here = tmp_path / "here"
    (here / REPO).mkdir(parents=True)
    (here / REPO / "ggml-model-q4_0.bin").write_bytes(b"GGUF, and something else")
    monkeypatch.chdir(here)
    checkpoint = write_llama(tmp_path / "plain", n_ff=192, tokenizer=False)
    (tmp_path / "source").mkdir()
    write_llama_ggml(tmp_path / "source" / "ggml-model-q4_0.bin", checkpoint)
    with LocalHub() as hub:
        hub.add_folder(REPO, tmp_path / "source")
        assert get(Wish(REPO, target="auto", file="ggml-model-q4_0.bin"), models, hub).path.exists()


@pytest.mark.parametrize("is_named", [True, False])
@pytest.mark.parametrize("n_parts", [1, 2])
def test_a_ggml_file_is_converted_while_it_comes(
    tmp_path: Path, models: Path, n_parts: int, is_named: bool
) -> None:
    checkpoint = write_llama(tmp_path / "plain", n_ff=192, tokenizer=False)
    source = tmp_path / "source"
    source.mkdir()
    write_llama_ggml(source / "ggml-model-q4_0.bin", checkpoint, form="ggjt", version=2, n_parts=n_parts)
    (source / "README.md").write_text("a model of 2023")
    wish = Wish(REPO, target="auto", file="ggml-model-q4_0.bin" if is_named else None)
    expected = convert_offline(source, tmp_path / "offline.gguf", wish)
    with LocalHub() as hub:
        hub.add_folder(REPO, source)
        done = get(wish, models, hub)
        n_bytes = sum(stop - start for start, stop in ranges(hub.file_requests("lfs")))

    assert done.path.read_bytes() == expected
    size_bytes = sum(path.stat().st_size for path in source.glob("*.bin*"))
    assert n_bytes < 2 * size_bytes + (512 << 10)


def test_the_rows_of_a_ggml_file_are_asked_for_in_advance(tmp_path: Path, models: Path) -> None:
    checkpoint = write_llama(tmp_path / "plain", hidden=1024, n_ff=2752, n_layer=4, tokenizer=False)
    (tmp_path / "source").mkdir()
    path = tmp_path / "source" / "ggml-model-q4_0.bin"
    write_llama_ggml(path, checkpoint)
    with LocalHub() as hub:
        hub.add_folder(REPO, tmp_path / "source")
        get(Wish(REPO, target="q8_0"), models, hub)
        asked = ranges(hub.file_requests("lfs"))

    # Besides the directory, whose entries lie all over the file: two reads of 64 KiB at the most for each.
    assert len(asked) < 3 * (4 * 9 + 3)


def test_a_ggml_file_of_bloom_takes_another_repositorys_tokenizer(tmp_path: Path, models: Path) -> None:
    checkpoint = write_bloom(tmp_path / "tokenizer")
    (tmp_path / "source").mkdir()
    write_bloomz_ggml(tmp_path / "source" / "ggml-model-bloom-q4_0.bin", checkpoint)
    wish = Wish(REPO, target="auto", tokenizer=str(tmp_path / "tokenizer"))
    expected = convert_offline(tmp_path / "source", tmp_path / "offline.gguf", wish)
    with LocalHub() as hub:
        hub.add_folder(REPO, tmp_path / "source")
        assert get(wish, models, hub).path.read_bytes() == expected


@pytest.mark.parametrize("n_parts", [1, 2])
def test_metas_own_files_are_converted_while_they_come(tmp_path: Path, models: Path, n_parts: int) -> None:
    source = tmp_path / "7B"
    checkpoint = write_llama(tmp_path / "plain", n_ff=192, hidden=256, tokenizer=False)
    write_meta(source, checkpoint, n_parts=n_parts)
    write_llama_tokenizer(source, 520)
    wish = Wish(REPO)
    expected = convert_offline(source, tmp_path / "offline.gguf", wish)
    with LocalHub() as hub:
        hub.add_folder(REPO, source)
        done = get(wish, models, hub)
        asked = ranges(hub.file_requests("lfs"))

    assert done.path.read_bytes() == expected
    size_bytes = sum(path.stat().st_size for path in source.glob("*.pth"))
    assert sum(stop - start for start, stop in asked) < size_bytes * 1.2 + (512 << 10)


def _packed(quantize: Quantize) -> Callable[[Path], object]:
    return lambda folder: write_packed(folder, write_llama(folder.parent / "plain", hidden=128), quantize)


def _old_torch(folder: Path) -> None:
    """A checkpoint of 2019's form, whose trainer wrapped the model."""
    weights = write_bloom(folder, hidden=128).weights
    (folder / "model.safetensors").unlink()
    named = {f"module._orig_mod.{name}": values for name, values in weights.items()}
    write_old_torch(folder / "pytorch_model.bin", named)


def _saved_by_transformers_5(folder: Path) -> None:
    write_llama(folder, hidden=128, tokenizer=False)
    write_llama_tokenizer_of_transformers_5(folder, 520)


def _vocab_and_merges(folder: Path) -> None:
    """Qwen as it is published, without its tokenizer.json."""
    n_tokens = write_byte_level_tokenizer(folder, "qwen-2")
    write_qwen(folder, hidden=128, tokenizer=False, n_tokens=n_tokens)
    model = json.loads((folder / "tokenizer.json").read_text(encoding="utf-8"))["model"]
    (folder / "vocab.json").write_text(json.dumps(model["vocab"]), encoding="utf-8")
    merges = [" ".join(pair) if isinstance(pair, list) else pair for pair in model["merges"]]
    (folder / "merges.txt").write_text("\n".join(["#version: 0.2", *merges]), encoding="utf-8")
    (folder / "tokenizer.json").unlink()


@pytest.mark.parametrize(
    "write",
    [
        pytest.param(_packed(fp8_as(block=(64, 64))), id="fp8"),
        pytest.param(_packed(four_bit_as(nested=True)), id="bitsandbytes"),
        pytest.param(_packed(int8), id="int8"),
        pytest.param(_packed(lambda name, weight: awq(name, weight, group=64)), id="awq"),
        pytest.param(_old_torch, id="old-torch"),
        pytest.param(_saved_by_transformers_5, id="tokenizer.json"),
        pytest.param(_vocab_and_merges, id="vocab.json"),
    ],
)
def test_every_other_form_is_converted_while_it_comes(
    tmp_path: Path, models: Path, write: Callable[[Path], object]
) -> None:
    source = tmp_path / "source"
    source.mkdir()
    write(source)
    wish = Wish(REPO, target="f16")
    expected = convert_offline(source, tmp_path / "offline.gguf", wish)
    with LocalHub() as hub:
        hub.add_folder(REPO, source)
        done = get(wish, models, hub)
        n_bytes = sum(stop - start for start, stop in ranges(hub.file_requests("lfs")))

    assert done.path.read_bytes() == expected
    # The pickles of an old torch file end nowhere that is known before: its first 16 MiB are read twice.
    n_times = 2.3 if write is _old_torch else 1.3
    assert n_bytes < n_times * sum(path.stat().st_size for path in source.iterdir()) + (512 << 10)


def test_the_only_ggml_file_of_a_folder_need_not_be_named(tmp_path: Path) -> None:
    checkpoint = write_llama(tmp_path / "plain", n_ff=192, tokenizer=False)
    folder = tmp_path / "模型 2023"
    folder.mkdir()
    with pytest.raises(NotACheckpoint):
        open_checkpoint(folder)
    (folder / "notes.bin").write_bytes(b"no model")
    with pytest.raises(NotACheckpoint):
        open_checkpoint(folder)

    write_llama_ggml(folder / "BELLE.ggmlv3.q4_0.bin", checkpoint)
    with open_checkpoint(folder) as opened:
        assert opened.form == "ggml (2023), ggjt v3, q4_0"
        assert opened.files == ("BELLE.ggmlv3.q4_0.bin",)

    shutil.copy(folder / "BELLE.ggmlv3.q4_0.bin", folder / "other.bin")
    with pytest.raises(SeveralWeightFiles) as several:
        open_checkpoint(folder)
    assert several.value.names == ("BELLE.ggmlv3.q4_0.bin", "other.bin")


def test_weights_of_transformers_come_before_a_ggml_file_beside_them(tmp_path: Path) -> None:
    checkpoint = write_llama(tmp_path, n_ff=192)
    write_llama_ggml(tmp_path / "ggml-model-q4_0.bin", checkpoint)
    with open_checkpoint(tmp_path) as opened:
        assert opened.form == "safetensors"
