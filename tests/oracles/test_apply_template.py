"""The chat templates that the converter writes, rendered by llama.cpp's own server.

Slow: needs the server that `build_llama_cpp.sh` builds; CHATBELLE_LLAMA_SERVER names it.
"""

from __future__ import annotations

import json
import os
import socket
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

from builders.checkpoints import write_bloom
from convert.detect import open_checkpoint
from convert.pipeline import convert
from engine.conversation import read_conversation
from engine.prompt import AnswerSegment, Control, TextSegment, own_format
from engine.types import Message

SERVER = os.environ.get("CHATBELLE_LLAMA_SERVER", "")

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not SERVER, reason="CHATBELLE_LLAMA_SERVER names no llama-server"),
]

CONVERSATIONS = [
    [Message("user", "你好")],
    [Message("user", "  blanks around  \n"), Message("assistant", "答"), Message("user", "再来\n一次")],
    [
        Message("system", "Be brief."),
        Message("user", "Hi"),
        Message("assistant", "Hello"),
        Message("user", "?"),
    ],
]


@pytest.fixture(params=["belle", "belle-card", "belle-llama", "none"])
def served(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[tuple[str, str]]:
    """The format's name in the engine, and the address of a server over a model with its template."""
    model = tmp_path / "model.gguf"
    with open_checkpoint(write_bloom(tmp_path / "checkpoint").folder) as checkpoint:
        prompt = checkpoint.prompt(request.param)
        list(convert(checkpoint.plan("f16", prompt), model))
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    command = [SERVER, "-m", str(model), "--jinja", "--host", "127.0.0.1", "--port", str(port), "-c", "256"]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    address = f"http://127.0.0.1:{port}"
    try:
        _wait_for(address, process)
        yield prompt.name, address
    finally:
        process.kill()
        process.wait()


def _wait_for(address: str, process: subprocess.Popen[bytes]) -> None:
    for _ in range(600):
        assert process.poll() is None, "llama-server ended"
        try:
            with urllib.request.urlopen(f"{address}/health", timeout=5):
                return
        except (urllib.error.URLError, OSError):
            time.sleep(0.1)
    pytest.fail("llama-server did not answer")


def test_the_server_renders_what_the_engine_renders(served: tuple[str, str]) -> None:
    name, address = served
    for messages in CONVERSATIONS:
        body = json.dumps({"messages": [{"role": m.role, "content": m.text} for m in messages]}).encode()
        request = urllib.request.Request(
            f"{address}/apply-template", body, {"Content-Type": "application/json"}
        )
        with urllib.request.urlopen(request, timeout=30) as response:
            rendered = json.load(response)["prompt"]
        segments = own_format(name).render(read_conversation(messages))
        texts = {TextSegment, AnswerSegment}
        expected = "".join(
            segment.text if type(segment) in texts else "</s>" if segment is Control.END else ""
            for segment in segments
        )
        assert rendered == expected
