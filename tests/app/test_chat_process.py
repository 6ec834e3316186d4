"""`chatbelle` as people start it: a process with arguments, streams and an exit code."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from importlib.metadata import version
from importlib.resources import files
from pathlib import Path

import pytest

from builders.processes import Run

needs_demo = pytest.mark.skipif(
    not files("assets").joinpath("demo", "model.safetensors").is_file(), reason="the demo is not trained yet"
)


def with_model(path: Path) -> tuple[str, ...]:
    """The options for a tiny model: one thread is faster than two on a busy machine."""
    return ("--model", str(path), "--threads", "1")


def test_help_is_in_the_language_asked_for(chatbelle: Run) -> None:
    english = chatbelle("chat", "--help")
    chinese = chatbelle("chat", "--help", "--lang", "zh-CN")
    by_system = chatbelle("chat", "--help", env={"LC_ALL": "zh_CN.UTF-8"})

    assert english.returncode == chinese.returncode == by_system.returncode == 0
    assert english.stdout.startswith("Usage: chatbelle chat")
    assert chinese.stdout.startswith("用法：chatbelle chat")
    assert by_system.stdout == chinese.stdout


@pytest.mark.parametrize(
    "arguments",
    [
        ["nonsense"],
        ["chat", "--threads", "0", "x"],
        ["chat", "--temperature", "nan", "x"],
        ["chat", "--seed", "-1", "x"],
        ["chat", "--max-tokens", "many", "x"],
        ["chat", "--max-tokens", "0", "x"],
        ["chat", "--top-k", "-1", "x"],
        ["chat", "--top-p", "1.5", "x"],
        ["chat", "--min-p", "nan", "x"],
        ["chat", "--repetition-penalty", "0", "x"],
        ["chat", "--presence-penalty", "inf", "x"],
        ["chat", "--frequency-penalty", "?", "x"],
        ["chat", "--prompt-format", "alpaca", "x"],
        ["chat", "--ctx", "99999999999", "x"],
        ["chat", "--lang", "fr", "x"],
        ["chat", "--json"],
        ["chat", ""],
        ["chat", "-"],
        ["bench", "--repeat", "0"],
    ],
)
def test_wrong_usage_is_told_in_chinese_too(chatbelle: Run, arguments: list[str]) -> None:
    result = chatbelle(*arguments, env={"LC_ALL": "zh_CN.UTF-8"})

    assert result.returncode == 2
    assert result.stdout == ""
    assert result.stderr.startswith("用法：")
    assert "Traceback" not in result.stderr


def test_an_answer_goes_to_stdout_and_statistics_to_stderr(chatbelle: Run, tiny_model: Path) -> None:
    result = chatbelle("chat", *with_model(tiny_model), "--max-tokens", "5", "你好")

    assert result.returncode == 0
    assert "tokens" in result.stderr
    assert "tokens" not in result.stdout
    assert result.stdout.endswith("\n")


def test_the_same_seed_gives_the_same_answer(chatbelle: Run, tiny_model: Path) -> None:
    def answer() -> str:
        options = ("--seed", "5", "--temperature", "1.5", "--max-tokens", "12")
        return chatbelle("chat", *with_model(tiny_model), *options, "你好").stdout

    assert answer() == answer()


def test_json_is_one_object_and_nothing_else(chatbelle: Run, tiny_model: Path) -> None:
    result = chatbelle("chat", *with_model(tiny_model), "--max-tokens", "5", "--ctx", "256", "--json", "你好")

    assert result.returncode == 0
    assert result.stderr == ""
    assert result.stdout.count("\n") == 1
    found = json.loads(result.stdout)
    assert set(found) == {"answer", "thought", "reason", "model", "statistics"}
    assert found["statistics"]["generated_tokens"] <= 5
    assert found["model"]["context_tokens"] == 256
    assert found["model"]["demo"] is False


def test_the_question_can_come_from_stdin(chatbelle: Run, tiny_model: Path) -> None:
    options = ("chat", *with_model(tiny_model), "--temperature", "0", "--max-tokens", "8")

    piped = chatbelle(*options, "-", input="\ufeff两行\n问题\n")
    given = chatbelle(*options, "两行\n问题")

    assert piped.returncode == 0
    assert piped.stdout == given.stdout


def test_lines_of_a_pipe_are_questions_of_one_conversation(chatbelle: Run, tiny_model: Path) -> None:
    result = chatbelle("chat", *with_model(tiny_model), "--max-tokens", "3", input="你好\n\n再见\n/stats\n")

    assert result.returncode == 0
    reused = [line for line in result.stderr.splitlines() if line.startswith("Prompt:")]
    assert len(reused) == 1
    assert " 0 of them" not in reused[0]


def test_a_model_is_found_by_its_name(chatbelle: Run, tiny_model: Path, home_folder: Path) -> None:
    (home_folder / "models").mkdir(parents=True)
    shutil.copy(tiny_model, home_folder / "models" / "贝拉-Tiny.gguf")

    found = chatbelle("chat", "--model", "贝拉-tiny", "--max-tokens", "2", "--json", "x")
    missing = chatbelle("chat", "--model", "贝拉-huge", "x")

    assert json.loads(found.stdout)["model"]["path"].endswith("贝拉-Tiny.gguf")
    assert missing.returncode == 1
    assert "贝拉-Tiny" in missing.stderr


@pytest.mark.parametrize("language", ["en", "zh-CN"])
def test_a_file_that_is_no_model_is_refused_in_one_line(
    chatbelle: Run, tmp_path: Path, language: str
) -> None:
    path = tmp_path / "不是模型.gguf"
    path.write_bytes(b"hello world, this is not a model")

    result = chatbelle("chat", "--model", str(path), "--lang", language, "x")

    assert result.returncode == 1
    assert result.stdout == ""
    assert "不是模型.gguf" in result.stderr
    assert result.stderr.count("\n") == 1


def test_a_checkpoint_folder_is_answered_with_the_next_command(chatbelle: Run, tiny_checkpoint: Path) -> None:
    result = chatbelle("chat", "--model", str(tiny_checkpoint), "x")

    assert result.returncode == 1
    assert "belle-convert to-gguf" in result.stderr


def test_a_message_that_cannot_fit_is_refused_with_numbers(chatbelle: Run, tiny_model: Path) -> None:
    result = chatbelle("chat", *with_model(tiny_model), "--ctx", "64", "长" * 2000)

    assert result.returncode == 1
    assert "--ctx" in result.stderr
    assert "Traceback" not in result.stderr


@needs_demo
def test_the_demo_answers_and_is_made_only_once(chatbelle: Run, home_folder: Path) -> None:
    first = chatbelle("chat", "--json", "你好")
    second = chatbelle("chat", "--json", "--threads", "1", "你好")

    assert first.returncode == second.returncode == 0
    assert "only the first time" in first.stderr
    assert second.stderr == ""
    assert json.loads(first.stdout)["model"]["demo"] is True
    assert json.loads(first.stdout)["answer"] == json.loads(second.stdout)["answer"] != ""
    assert len(list((home_folder / "demo").iterdir())) == 2


@needs_demo
def test_a_chat_with_the_demo_says_what_it_is(chatbelle: Run) -> None:
    result = chatbelle("chat", input="")

    assert result.returncode == 0
    assert result.stdout == ""
    assert "built-in demo" in result.stderr
    assert "chatbelle models download BELLE-7B-2M" in result.stderr


@needs_demo
def test_a_data_folder_that_cannot_be_written_is_refused(chatbelle: Run, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")

    result = chatbelle("chat", "x", env={"CHATBELLE_HOME": str(tmp_path / "file" / "data")})

    assert result.returncode == 1
    assert "CHATBELLE_HOME" in result.stderr
    assert result.stderr.count("\n") == 1


def test_a_named_model_needs_no_data_folder(chatbelle: Run, tiny_model: Path, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    home = {"CHATBELLE_HOME": str(tmp_path / "file" / "data")}

    assert chatbelle("chat", *with_model(tiny_model), "--max-tokens", "2", "x", env=home).returncode == 0
    assert (
        chatbelle("chat", *with_model(tiny_model), "--max-tokens", "2", input="x\n", env=home).returncode == 0
    )


def test_a_reader_that_leaves_early_is_no_error(environ: dict[str, str], tiny_model: Path) -> None:
    command = [
        sys.executable,
        "-m",
        "app.cli",
        "chat",
        "--model",
        str(tiny_model),
        "--max-tokens",
        "400",
        "x",
    ]
    root = Path(__file__).resolve().parents[2]
    reader, writer = os.pipe()
    process = subprocess.Popen(command, stdout=writer, stderr=subprocess.PIPE, env=environ, cwd=root)
    os.close(writer)
    os.close(reader)
    _, errors = process.communicate(timeout=60)

    assert process.returncode == 0
    assert errors == b""


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")
def test_a_full_disk_under_stdout_is_told_in_one_line(chatbelle: Run, tiny_model: Path) -> None:
    with open("/dev/full", "w") as full:
        options = {"capture_output": False, "stdout": full, "stderr": subprocess.PIPE}
        result = chatbelle("chat", *with_model(tiny_model), "--max-tokens", "2", "x", **options)

    assert result.returncode == 1
    assert result.stderr.count("\n") == 1
    assert "could not be written" in result.stderr


@pytest.mark.parametrize("closed", [0, 1, 2])
def test_a_stream_that_is_closed_from_the_start_is_no_error(
    chatbelle: Run, tiny_model: Path, closed: int
) -> None:
    result = chatbelle(
        "chat", *with_model(tiny_model), "--max-tokens", "2", "x", preexec_fn=lambda: os.close(closed)
    )

    assert result.returncode == 0
    assert "Traceback" not in result.stderr


def test_stdout_that_cannot_show_chinese_does_not_fail(chatbelle: Run) -> None:
    result = chatbelle(
        "chat", "--help", "--lang", "zh-CN", env={"PYTHONIOENCODING": "ascii"}, encoding="ascii"
    )

    assert result.returncode == 0


def test_an_unexpected_failure_leaves_its_traceback_in_a_file(
    environ: dict[str, str], home_folder: Path, tmp_path: Path
) -> None:
    script = (
        "import sys; from app.cli import main\n"
        "def broken(): raise ZeroDivisionError('boom 爆')\n"
        "sys.exit(main(['chat', '--model', sys.argv[1], 'x'], make_backend=broken))"
    )
    root = Path(__file__).resolve().parents[2]
    (tmp_path / "a.gguf").write_bytes(b"")

    result = subprocess.run(
        [sys.executable, "-c", script, str(tmp_path / "a.gguf")],
        capture_output=True,
        encoding="utf-8",
        env=environ,
        cwd=root,
        timeout=60,
        check=False,
    )

    assert result.returncode == 1
    assert "Traceback" not in result.stderr
    (report,) = (home_folder / "logs").iterdir()
    assert str(report) in result.stderr
    assert "boom 爆" in report.read_text(encoding="utf-8")


def test_bench_measures_every_figure(chatbelle: Run, tiny_model: Path) -> None:
    result = chatbelle("bench", *with_model(tiny_model), "--repeat", "2", "--tokens", "8", "--json")

    assert result.returncode == 0
    found = json.loads(result.stdout)
    assert len(found["runs"]) == 2
    assert found["peak_rss_bytes"] > 10_000_000
    assert found["library"]["release"] == version("llama-cpp-python")
    assert found["library"]["cpu_features"]
    for name, figure in found["figures"].items():
        assert 0 < figure["minimum"] <= figure["median"] <= figure["maximum"], name


def test_bench_shows_a_table(chatbelle: Run, tiny_model: Path) -> None:
    result = chatbelle("bench", *with_model(tiny_model), "--repeat", "1", "--tokens", "4", "--lang", "zh-CN")

    assert result.returncode == 0
    assert "词元/秒" in result.stdout
    assert f"llama-cpp-python {version('llama-cpp-python')}" in result.stdout
    assert "\x1b" not in result.stdout


def test_a_template_file_takes_the_place_of_the_models_own(
    chatbelle: Run, tiny_model: Path, tmp_path: Path
) -> None:
    template = tmp_path / "模板.jinja"
    template.write_text("{% for m in messages %}<{{ m.content }}>{% endfor %}", encoding="utf-8")
    result = chatbelle("chat", *with_model(tiny_model), "--prompt-format", str(template), "--json", "x")
    assert result.returncode == 0, result.stderr
    assert json.loads(result.stdout)["model"]["prompt_format"] == "template"


def test_the_format_chosen_in_the_window_holds_in_the_terminal(
    chatbelle: Run, tiny_model: Path, home_folder: Path
) -> None:
    home_folder.mkdir(parents=True, exist_ok=True)
    kept = {"version": 1, "prompt_formats": {str(tiny_model): "chatml"}}
    (home_folder / "settings.json").write_text(json.dumps(kept), encoding="utf-8")
    options = ("chat", *with_model(tiny_model), "--max-tokens", "1", "--json", "x")
    assert json.loads(chatbelle(*options).stdout)["model"]["prompt_format"] == "chatml"
    asked = json.loads(chatbelle(*options, "--prompt-format", "belle-card").stdout)
    assert asked["model"]["prompt_format"] == "belle-card"


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        (None, "can't be read"),
        (b"", "no chat template"),
        (b"\xff\xfe\x00", "no chat template"),
        (b"{% for m in messages %}", "can't be used"),
        ("{{ raise_exception('只支持一轮') }}".encode(), "只支持一轮"),
    ],
)
def test_a_template_that_is_none_is_refused_with_a_sentence(
    chatbelle: Run, tiny_model: Path, tmp_path: Path, content: bytes | None, sentence: str
) -> None:
    template = tmp_path / "t.jinja"
    if content is not None:
        template.write_bytes(content)
    result = chatbelle("chat", *with_model(tiny_model), "--prompt-format", str(template), "x")
    assert (result.returncode, result.stdout) == (1, "")
    assert sentence in result.stderr
    assert "Traceback" not in result.stderr
