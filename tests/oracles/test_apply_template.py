"""The chat templates that the converter writes, rendered by llama.cpp's own server.

Slow: needs the server that `build_llama_cpp.sh` builds; CHATBELLE_LLAMA_SERVER names it.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from builders.checkpoints import write_bloom
from convert.detect import open_checkpoint
from convert.pipeline import convert
from engine.conversation import read_conversation
from engine.prompt import AnswerSegment, Control, TextSegment, own_format
from engine.types import Message
from oracles.llama_server import LlamaServer, serving

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
def served(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[tuple[str, LlamaServer]]:
    """The format's name in the engine, and a server over a model with its template."""
    model = tmp_path / "model.gguf"
    with open_checkpoint(write_bloom(tmp_path / "checkpoint").folder) as checkpoint:
        prompt = checkpoint.prompt(request.param)
        list(convert(checkpoint.plan("f16", prompt), model))
    with serving(SERVER, model) as server:
        yield prompt.name, server


def test_the_server_renders_what_the_engine_renders(served: tuple[str, LlamaServer]) -> None:
    name, server = served
    for messages in CONVERSATIONS:
        segments = own_format(name).render(read_conversation(messages))
        texts = {TextSegment, AnswerSegment}
        expected = "".join(
            segment.text if type(segment) in texts else "</s>" if segment is Control.END else ""
            for segment in segments
        )
        assert server.apply_template(messages) == expected
