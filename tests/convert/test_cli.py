"""belle-convert as a person meets it: a real process, its streams and its exit code."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from builders.checkpoints import Checkpoint, write_bloom, write_llama
from builders.encrypted import write_encrypted
from builders.lora import write_adapter
from builders.qwen import write_qwen
from builders.torch_old import write_old_torch

ROOT = Path(__file__).resolve().parents[2]


def run(*arguments: str | Path, language: str = "en", **options: Any) -> subprocess.CompletedProcess[str]:
    own = {"LC_ALL": "zh_CN.UTF-8" if language == "zh-CN" else "C.UTF-8", "PYTHONPATH": str(ROOT)}
    settings = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "timeout": 120} | options
    return subprocess.run(
        [sys.executable, "-m", "convert.cli", *map(str, arguments)],
        encoding="utf-8",
        env={**os.environ, **own, **settings.pop("env", {})},
        check=False,
        **settings,
    )


@pytest.fixture
def bloom(tmp_path: Path) -> Checkpoint:
    return write_bloom(tmp_path / "检查点")


def test_inspect_describes_the_checkpoint(bloom: Checkpoint) -> None:
    result = run("inspect", bloom.folder, "--json")
    assert result.returncode == 0, result.stderr
    report = json.loads(result.stdout)
    assert report["architecture"] == "bloom"
    assert report["n_parameters"] == sum(weight.size for weight in bloom.weights.values())
    assert report["prompt_format"] == {"name": "belle", "reason": "bloom", "place": ""}
    assert set(report["outputs"]) >= {"f16", "q8_0", "q4_k_m"}


def test_inspect_shows_a_table_in_the_language_asked_for(bloom: Checkpoint) -> None:
    assert "Parameters" in run("inspect", bloom.folder).stdout
    assert "参数量" in run("inspect", bloom.folder, language="zh-CN").stdout
    assert "参数量" in run("inspect", bloom.folder, "--lang", "zh-CN").stdout


def test_a_base_model_of_another_family_is_never_asked_as_belle(tmp_path: Path) -> None:
    for family, title in (("qwen2", "Qwen2"), ("qwen3", "Qwen3")):
        folder = write_qwen(tmp_path / family, family=family).folder
        report = json.loads(run("inspect", folder, "--json").stdout)
        assert report["architecture"] == family
        assert report["prompt_format"] == {"name": "base", "reason": "no-template", "place": ""}
        table = run("inspect", folder, language="zh-CN").stdout
        assert title in table
        assert "没有附带对话模板" in table.replace("\n", "").replace(" ", "")


def test_what_llama_cpp_does_otherwise_is_told_in_the_language_asked_for(tmp_path: Path) -> None:
    scaling = {"type": "dynamic", "factor": 2.0}
    folder = write_llama(tmp_path / "hf", config={"rope_scaling": scaling}).folder
    assert "2,048 tokens" in run("inspect", folder).stdout.replace("\n", " ")
    result = run("to-gguf", folder, tmp_path / "m.gguf", language="zh-CN")
    assert "2,048 个词元" in result.stderr
    report = json.loads(run("inspect", folder, "--json").stdout)
    assert report["notes"] == [{"key": "rope_dynamic", "values": {"n_tokens": 2048}}]


def test_a_choice_among_several_forms_is_told_and_can_be_changed(tmp_path: Path) -> None:
    made = write_bloom(tmp_path / "bloom")
    twice = {name: 2 * array for name, array in made.weights.items()}
    write_old_torch(made.folder / "pytorch_model.bin", twice)
    report = json.loads(run("inspect", made.folder, "--json").stdout)
    values = {"chosen": "model.safetensors", "others": "pytorch_model.bin"}
    assert report["notes"] == [{"key": "weight_choice", "values": values}]
    assert "pytorch_model.bin" in run("inspect", made.folder, language="zh-CN").stdout

    first, second = tmp_path / "a.gguf", tmp_path / "b.gguf"
    told = run("to-gguf", made.folder, first, "--type", "f16").stderr
    assert "left out: pytorch_model.bin" in told
    assert run("to-gguf", made.folder, second, "--type", "f16", "--file", "pytorch_model.bin").stderr == ""
    assert first.read_bytes() != second.read_bytes()


@pytest.mark.parametrize(("language", "word"), [("en", "weight matrices"), ("zh-CN", "权重矩阵")])
def test_inspect_says_what_an_adapter_changes(
    tmp_path: Path, bloom: Checkpoint, language: str, word: str
) -> None:
    adapter = write_adapter(tmp_path / "lora", bloom.weights, ["query_key_value"])
    result = run("inspect", bloom.folder, "--lora", adapter.folder, language=language)
    assert result.returncode == 0, result.stderr
    assert word in result.stdout
    assert f" {len(adapter.pairs)} " in result.stdout


def test_paths_are_shown_as_they_are(tmp_path: Path) -> None:
    # rich would make emoji and colours of some.
    folder = write_bloom(tmp_path / "a:heart:b[red]").folder
    result = run("inspect", folder, cwd=tmp_path)
    assert "a:heart:b[red]" in result.stdout.replace("\n", "").replace(" ", "")
    output = tmp_path / ":x:[bold].gguf"
    assert output.name in run("to-gguf", folder, output).stdout
    assert output.name in run("to-gguf", folder, output).stderr


def test_the_inspected_size_is_the_size_of_the_result(bloom: Checkpoint, tmp_path: Path) -> None:
    report = json.loads(run("inspect", bloom.folder, "--json").stdout)
    for target in ("f16", "q4_k_m"):
        output = tmp_path / f"{target}.gguf"
        assert run("to-gguf", bloom.folder, output, "--type", target).returncode == 0
        assert output.stat().st_size == report["outputs"][target]


def test_to_gguf_with_json_prints_one_object_and_nothing_else(tmp_path: Path) -> None:
    checkpoint = write_llama(tmp_path / "llama")
    output = tmp_path / "模型.gguf"
    result = run("to-gguf", checkpoint.folder, output, "--type", "q8_0", "--json")
    assert result.returncode == 0, result.stderr
    report = json.loads(result.stdout)
    assert report["size_bytes"] == output.stat().st_size
    assert report["peak_rss_bytes"] > 0
    assert result.stderr == ""


def test_the_file_does_not_depend_on_where_the_checkpoint_lay(bloom: Checkpoint, tmp_path: Path) -> None:
    moved = tmp_path / "elsewhere"
    first, second = tmp_path / "first.gguf", tmp_path / "second.gguf"
    run("to-gguf", bloom.folder, first)
    bloom.folder.rename(moved)
    run("to-gguf", moved, second, "--threads", "1")
    assert first.read_bytes() == second.read_bytes()


def test_a_weight_file_stands_for_its_folder(bloom: Checkpoint, tmp_path: Path) -> None:
    output = tmp_path / "out.gguf"
    assert run("to-gguf", bloom.folder / "model.safetensors", output).returncode == 0
    assert output.exists()


def test_the_home_folders_tilde_is_followed_where_the_shell_leaves_it(
    bloom: Checkpoint, tmp_path: Path
) -> None:
    (bloom.folder / "tokenizer.json").rename(tmp_path / "tokenizer.json")
    home = {"HOME": str(tmp_path)}
    result = run("inspect", "~/检查点", "--tokenizer=~/tokenizer.json", env=home)
    assert result.returncode == 0, result.stderr
    for arguments in (["--key=~nobody-of-this-name/k"], ["--lora=~nobody-of-this-name/l"]):
        result = run("inspect", "~/检查点", *arguments, env=home)
        assert (result.returncode, len(result.stderr.splitlines())) == (1, 1), result.stderr


def test_an_existing_output_is_kept_without_force(bloom: Checkpoint, tmp_path: Path) -> None:
    output = tmp_path / "out.gguf"
    output.write_text("precious")
    result = run("to-gguf", bloom.folder, output)
    assert result.returncode == 1
    assert "--force" in result.stderr
    assert output.read_text() == "precious"
    assert run("to-gguf", bloom.folder, output, "--force").returncode == 0
    assert output.read_bytes()[:4] == b"GGUF"


def test_refusals_are_one_sentence_with_exit_code_1(tmp_path: Path) -> None:
    empty = tmp_path / "空"
    empty.mkdir()
    notes = tmp_path / "notes.txt"
    notes.write_text("no weights")
    sources = {tmp_path / "missing": "missing", empty: "空 is empty", notes: "no model's weight file"}
    for source, words in (sources | {tmp_path: "(found: notes.txt, 空)"}).items():
        result = run("to-gguf", source, tmp_path / "out.gguf")
        assert result.returncode == 1
        assert words in result.stderr
        assert len(result.stderr.strip().splitlines()) == 1
        assert "Traceback" not in result.stderr
        assert result.stdout == ""
    assert not (tmp_path / "out.gguf").exists()


@pytest.mark.parametrize(
    "arguments",
    [
        ("inspect", "{long}"),
        ("to-gguf", "{long}", "out.gguf"),
        ("to-gguf", "{bloom}", "{long}.gguf"),
        ("to-gguf", "{bloom}", "{long}/out.gguf"),
        ("to-gguf", "{bloom}", "out.gguf", "--key", "{long}"),
        ("to-gguf", "{bloom}", "out.gguf", "--tokenizer", "{long}"),
        ("to-gguf", "{bloom}", "out.gguf", "--file", "{long}"),
        ("to-gguf", "{bloom}", "out.gguf", "--lora", "{long}"),
        ("to-gguf", "{bloom}", "out.gguf", "--lora", "{long}:0.5"),
        ("decrypt", "{long}", "{bloom}/config.json", "out"),
        ("decrypt", "{bloom}", "{long}", "out"),
    ],
)
def test_names_too_long_for_the_system_are_refused_like_others(
    bloom: Checkpoint, tmp_path: Path, arguments: tuple[str, ...]
) -> None:
    # Python 3.11's Path.is_dir and its like raise for them.
    given = [argument.format(long="长" * 100, bloom=bloom.folder) for argument in arguments]
    result = run(*given, cwd=tmp_path)
    assert result.returncode == 1
    assert len(result.stderr.splitlines()) == 1
    assert "Traceback" not in result.stderr
    assert [path.name for path in tmp_path.iterdir()] == ["检查点"]


def test_decrypting_into_a_folder_that_cannot_be_named_is_refused(tmp_path: Path) -> None:
    key = tmp_path / "key"
    key.write_bytes(b"any key")
    encrypted = write_encrypted(tmp_path, "config.json", b"{}", key.read_bytes())
    result = run("decrypt", encrypted, key, "长" * 100, cwd=tmp_path)
    assert result.returncode == 1
    assert "File name too long" in result.stderr
    assert "Traceback" not in result.stderr


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs Linux's full device")
def test_a_report_that_cannot_be_written_is_a_failure_in_one_sentence(bloom: Checkpoint) -> None:
    for arguments in (("inspect", bloom.folder), ("inspect", bloom.folder, "--json")):
        with Path("/dev/full").open("w") as full:
            result = run(*arguments, stdout=full)
        assert result.returncode == 1
        assert result.stderr == "The system reports: No space left on device.\n"


def test_a_gguf_needs_no_conversion(tmp_path: Path) -> None:
    model = tmp_path / "model.gguf"
    model.write_bytes(b"GGUF" + bytes(100))
    result = run("inspect", model)
    assert result.returncode == 1
    assert "chatbelle chat --model" in result.stderr


def test_wrong_usage_exits_with_2(bloom: Checkpoint) -> None:
    assert run().returncode == 2
    assert run("to-gguf", bloom.folder).returncode == 2
    result = run("to-gguf", bloom.folder, "out.gguf", "--type", "q9", language="zh-CN")
    assert result.returncode == 2
    assert "q9" in result.stderr
    assert "用法" in result.stderr


def test_help_is_complete_in_both_languages() -> None:
    for language in ("en", "zh-CN"):
        result = run("to-gguf", "--help", language=language)
        assert result.returncode == 0
        assert "q4_k_m" in result.stdout
    assert "usage:" not in run("--help", language="zh-CN").stdout


def start(*arguments: str | Path, **options: Any) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "convert.cli", *map(str, arguments)]
    return subprocess.Popen(command, cwd=ROOT, stderr=subprocess.PIPE, text=True, **options)


def is_writing(folder: Path) -> bool:
    return any(path.stat().st_size for path in folder.glob(".chatbelle-*"))


@pytest.fixture
def large(tmp_path: Path) -> Path:
    """Float32 to K-quants with many rows: long enough to be met at work."""
    return write_bloom(tmp_path / "big", hidden=512, n_layer=6, n_vocab=20_000).folder


@pytest.mark.skipif(sys.platform == "win32", reason="POSIX signals")
@pytest.mark.parametrize("name", ["SIGINT", "SIGTERM", "SIGHUP"])
def test_a_signal_leaves_nothing_and_tells_which_it_was(large: Path, tmp_path: Path, name: str) -> None:
    number = signal.Signals[name]
    process = start("to-gguf", large, tmp_path / "out.gguf", "--type", "q5_k_m")
    while not is_writing(tmp_path) and process.poll() is None:
        pass
    process.send_signal(number)
    _, errors = process.communicate(timeout=60)
    assert process.returncode == 128 + number, errors
    assert errors == "Interrupted; nothing was left behind.\n"
    assert os.listdir(tmp_path) == ["big"]


@pytest.mark.skipif(sys.platform == "win32", reason="POSIX signals")
def test_a_stopped_decryption_leaves_nothing(tmp_path: Path) -> None:
    key = tmp_path / "key"
    key.write_bytes(b"any key")
    encrypted = tmp_path / f"weights.other.{64 * '0'}.enc"
    with encrypted.open("wb") as file:
        file.truncate(2 << 30)  # its hash is computed while it is written
    output = tmp_path / "out"
    process = start("decrypt", encrypted, key, output)
    while not (output.exists() and is_writing(output)) and process.poll() is None:
        pass
    process.send_signal(signal.SIGTERM)
    _, errors = process.communicate(timeout=60)
    assert process.returncode == 128 + signal.SIGTERM, errors
    assert not output.exists()


@pytest.mark.skipif(sys.platform == "win32", reason="POSIX terminals")
def test_closing_the_terminal_leaves_nothing(large: Path, tmp_path: Path) -> None:
    import fcntl
    import pty
    import termios

    ours, theirs = pty.openpty()
    process = subprocess.Popen(
        [sys.executable, "-m", "convert.cli", "to-gguf", str(large), str(tmp_path / "out.gguf")],
        cwd=ROOT,
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
        start_new_session=True,
        preexec_fn=lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0),
    )
    os.close(theirs)
    while not is_writing(tmp_path) and process.poll() is None:
        pass
    os.close(ours)
    assert process.wait(timeout=60) == 128 + signal.SIGHUP
    assert os.listdir(tmp_path) == ["big"]
