"""llama.cpp's own server over a model, asked what it makes of messages."""

from __future__ import annotations

import json
import socket
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from engine.types import Message


class LlamaServer:
    """A server that answers at `address`."""

    def __init__(self, address: str) -> None:
        self._address = address

    def apply_template(self, messages: Sequence[Message], **variables: object) -> str | None:
        """The prompt that it makes of `messages`, with more template variables; None where it refuses."""
        body = {
            "messages": [{"role": message.role, "content": message.text} for message in messages],
            "chat_template_kwargs": variables,
        }
        try:
            prompt = self._post("apply-template", body)["prompt"]
        except urllib.error.HTTPError:
            return None
        assert isinstance(prompt, str)
        return prompt

    def tokenize(self, prompt: str) -> tuple[int, ...]:
        """The ids that it evaluates for a prompt of its own."""
        body = {"content": prompt, "add_special": True, "parse_special": True}
        return tuple(self._post("tokenize", body)["tokens"])

    def chat(self, messages: Sequence[Message]) -> tuple[str, str] | None:
        """Thought and answer to `messages`, without outer white space; None where it can't make sense of what
        the model wrote. Chooses the most probable tokens.
        """
        body = {
            "messages": [{"role": message.role, "content": message.text} for message in messages],
            "temperature": 0,
            "max_tokens": 32,
        }
        try:
            answer = self._post("v1/chat/completions", body)["choices"][0]["message"]
        except urllib.error.HTTPError:
            return None
        return (answer.get("reasoning_content") or "").strip(), (answer["content"] or "").strip()

    def sample(self, prompt: str, n_tokens: int, seed: int) -> tuple[int, ...]:
        """The ids that it generates after a prompt, with the sampling that the model's file asks for."""
        body = {"prompt": prompt, "n_predict": n_tokens, "seed": seed, "return_tokens": True}
        return tuple(self._post("completion", body)["tokens"])

    def _post(self, path: str, body: object) -> Any:
        request = urllib.request.Request(
            f"{self._address}/{path}", json.dumps(body).encode(), {"Content-Type": "application/json"}
        )
        with urllib.request.urlopen(request, timeout=60) as response:
            return json.load(response)


@contextmanager
def serving(program: str, model: Path, *options: str) -> Iterator[LlamaServer]:
    """Run the server for the time of the block."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    command = [program, "-m", str(model), "--jinja", "--host", "127.0.0.1", "--port", str(port), "-c", "256"]
    process = subprocess.Popen([*command, *options], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        address = f"http://127.0.0.1:{port}"
        _wait_for(address, process)
        yield LlamaServer(address)
    finally:
        process.kill()
        process.wait()


def _wait_for(address: str, process: subprocess.Popen[bytes]) -> None:
    for _ in range(3000):
        assert process.poll() is None, "llama-server ended"
        try:
            with urllib.request.urlopen(f"{address}/health", timeout=5):
                return
        except (urllib.error.URLError, OSError):
            time.sleep(0.02)
    pytest.fail("llama-server did not answer")
