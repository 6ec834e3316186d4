"""How the command line is read: `gui`'s options without its name, text that is piped beside a question, and
what is said of a context that is too long.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from app.cli import with_command
from builders.gguf_models import END, Shape, byte_vocabulary, chain, write_model, write_scripted_model
from builders.processes import Run

ROOT = Path(__file__).resolve().parents[2]


@pytest.mark.parametrize(
    ("given", "meant"),
    [
        ("", ""),
        ("--lang en", "--lang en"),
        ("--version", "--version"),
        ("--web --port 0 --no-browser", "gui --web --port 0 --no-browser"),
        ("--port=0", "gui --port=0"),
        ("--lang zh-CN --web", "--lang zh-CN gui --web"),
        ("model.gguf --web", "gui model.gguf --web"),
        ("--lang en model.gguf --web", "--lang en gui model.gguf --web"),
        ("--web model.gguf", "gui --web model.gguf"),
        ("gui --web", "gui --web"),
        ("--web chat", "--web chat"),
        ("chat hello", "chat hello"),
        ("--wrong", "--wrong"),
        ("word", "word"),
    ],
)
def test_the_apps_options_need_no_command(given: str, meant: str) -> None:
    assert with_command(given.split()) == meant.split()


@pytest.mark.skipif(sys.platform == "win32", reason="ended by a signal")
def test_the_app_is_served_without_the_word_gui(environ: dict[str, str], tmp_path: Path) -> None:
    command = [sys.executable, "-m", "app.cli", "--web", "--port", "0", "--no-browser"]
    environ = environ | {"PYTHONPATH": str(ROOT), "PYTHONUNBUFFERED": "1"}
    pipe = subprocess.PIPE
    with subprocess.Popen(command, stdout=pipe, stderr=pipe, env=environ, cwd=tmp_path, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline().startswith("http://127.0.0.1:")
        process.send_signal(signal.SIGINT)
        process.communicate(timeout=30)


def test_a_command_after_the_apps_options_is_still_refused(chatbelle: Run) -> None:
    result = chatbelle("--web", "chat")
    assert result.returncode == 2
    assert "Traceback" not in result.stderr


# --- text that is piped beside the question ---------------------------------------------------------


@pytest.fixture(scope="module")
def echo(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model that answers at once and ends: what counts is the prompt that it got."""
    vocabulary = byte_vocabulary()
    following = chain(b"\n\n", b"A", vocabulary=vocabulary, end=END)
    return write_scripted_model(tmp_path_factory.mktemp("echo") / "m.gguf", following, vocabulary=vocabulary)


def _n_prompt_tokens(result: subprocess.CompletedProcess[str]) -> int:
    assert result.returncode == 0, result.stderr
    n_tokens: int = json.loads(result.stdout)["statistics"]["prompt_tokens"]
    return n_tokens


def test_piped_text_follows_the_question_after_a_blank_line(chatbelle: Run, tiny_model: Path) -> None:
    options = ("chat", "--model", str(tiny_model), "--temperature", "0", "--max-tokens", "8", "--json")
    piped = chatbelle(*options, "总结", input="\ufeff第一行\n第二行\n")
    given = chatbelle(*options, "总结\n\n第一行\n第二行")
    assert _n_prompt_tokens(piped) == _n_prompt_tokens(given)
    assert json.loads(piped.stdout)["answer"] == json.loads(given.stdout)["answer"]


def test_a_file_may_take_the_pipes_place(chatbelle: Run, echo: Path, tmp_path: Path) -> None:
    text = tmp_path / "text.txt"
    text.write_text("abc")
    options = ("chat", "--model", str(echo), "--prompt-format", "belle", "--max-tokens", "1", "--json")
    with text.open() as file:
        piped = _n_prompt_tokens(chatbelle(*options, "x", stdin=file))
    assert piped == _n_prompt_tokens(chatbelle(*options, "x\n\nabc"))


@pytest.mark.parametrize("piped", ["", "\n", " \n\t\n"])
def test_nothing_piped_changes_nothing(piped: str, chatbelle: Run, echo: Path) -> None:
    options = ("chat", "--model", str(echo), "--prompt-format", "belle", "--max-tokens", "1", "--json", "x")
    assert _n_prompt_tokens(chatbelle(*options, input=piped)) == _n_prompt_tokens(chatbelle(*options))


def test_a_dash_reads_stdin_once(chatbelle: Run, echo: Path) -> None:
    options = ("chat", "--model", str(echo), "--prompt-format", "belle", "--max-tokens", "1", "--json")
    assert _n_prompt_tokens(chatbelle(*options, "-", input="x\n")) == _n_prompt_tokens(
        chatbelle(*options, "x")
    )


@pytest.mark.skipif(sys.platform == "win32", reason="closes descriptors as a shell does")
@pytest.mark.parametrize("redirection", ["<&-", "0>/dev/null"])
def test_a_closed_stdin_is_no_text(
    redirection: str, environ: dict[str, str], echo: Path, tmp_path: Path
) -> None:
    command = f'"{sys.executable}" -m app.cli chat --model "{echo}" --max-tokens 1 --json x {redirection}'
    environ = environ | {"PYTHONPATH": str(ROOT)}
    done = subprocess.run(
        ["sh", "-c", command],
        capture_output=True,
        text=True,
        env=environ,
        cwd=tmp_path,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr


def test_a_pipe_that_nobody_ends_is_told_of(environ: dict[str, str], echo: Path, tmp_path: Path) -> None:
    command = [sys.executable, "-m", "app.cli", "chat", "--model", str(echo), "--max-tokens", "1", "x"]
    reading, writing = os.pipe()
    environ = environ | {"PYTHONPATH": str(ROOT)}
    with subprocess.Popen(
        command, stdin=reading, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=environ, cwd=tmp_path
    ) as process:
        os.close(reading)
        assert process.stderr is not None
        said = process.stderr.readline().decode()
        assert "Waiting for text on stdin" in said
        os.write(writing, b"late")
        os.close(writing)
        process.communicate(timeout=60)
        assert process.returncode == 0


# --- a context that is longer than the model's ------------------------------------------------------


def test_a_context_above_the_trained_length_is_told_and_taken(chatbelle: Run, tmp_path: Path) -> None:
    path = write_model(tmp_path / "m.gguf", shape=Shape(context=512))
    options = ("--model", str(path), "--threads", "1", "--ctx")
    for command in (
        ("chat", *options, "1024", "--max-tokens", "2", "x"),
        ("bench", *options, "1024", "--repeat", "1", "--tokens", "2"),
    ):
        result = chatbelle(*command)
        assert result.returncode == 0, result.stderr
        assert "trained with a context of 512 tokens; with 1,024" in result.stderr
    within = chatbelle("chat", *options, "512", "--max-tokens", "2", "x")
    assert "trained" not in within.stderr


# --- a model that was not trained to chat -----------------------------------------------------------


def test_a_base_model_is_told_before_it_answers(chatbelle: Run, tmp_path: Path) -> None:
    control = ["<|im_start|>", "<|im_end|>"]
    plain_vocabulary = byte_vocabulary()
    vocabulary = replace(plain_vocabulary, tokens=(*plain_vocabulary.tokens, *control))
    plain = write_model(tmp_path / "plain.gguf", architecture="llama")
    likely = write_model(
        tmp_path / "likely.gguf", architecture="llama", vocabulary=vocabulary, control=control
    )
    options = ("--threads", "1", "--max-tokens", "2", "x")

    said = chatbelle("chat", "--model", str(plain), *options).stderr
    assert "This is a base model" in said
    assert "--prompt-format" not in said
    assert "suggests --prompt-format chatml" in chatbelle("chat", "--model", str(likely), *options).stderr
    chosen = chatbelle("chat", "--model", str(likely), "--prompt-format", "chatml", *options).stderr
    assert "base model" not in chosen
    assert "这是基座模型" in chatbelle("chat", "--lang", "zh-CN", "--model", str(plain), *options).stderr
