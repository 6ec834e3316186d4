"""Our prompts, token for token, beside those of llama.cpp's server: every template in its source with every
vocabulary there.

Slow: needs the server that `build_llama_cpp.sh` builds, with its source beside it; CHATBELLE_LLAMA_SERVER
names it. Run with `-s` for the table.
"""

from __future__ import annotations

import os
from collections import Counter
from pathlib import Path

import pytest

from builders.vocabulary_models import write_with_vocabulary
from engine.chat_template import TemplateFormat
from engine.conversation import read_conversation
from engine.errors import ChatTemplateFailed
from engine.llama import Model
from engine.prompt_tokens import PromptTokenizer
from engine.types import Message, Thinking
from oracles.llama_server import LlamaServer, serving

SERVER = os.environ.get("CHATBELLE_LLAMA_SERVER", "")
MODELS = Path(SERVER).parent.parent / "source" / "vendor" / "llama.cpp" / "models" if SERVER else Path()

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not SERVER, reason="CHATBELLE_LLAMA_SERVER names no llama-server"),
]

CONVERSATIONS = [
    [Message("user", "Hi")],
    [Message("system", "Be brief."), Message("user", "What is 12+30?")],
    [
        Message("user", "  blanks around \n"),
        Message("assistant", "42 是答案"),
        Message("user", "\n你好，世界 123"),
        Message("assistant", " yes \n"),
        Message("user", "7"),
    ],
    [
        Message("system", "简短回答。"),
        Message("user", "你好\n"),
        Message("assistant", "\nline\n"),
        Message("user", " 3 4 "),
    ],
]

# The server keeps thoughts of earlier turns where it can; these templates leave them out by themselves.
SERVER_VARIABLES: dict[str, dict[str, object]] = {
    "deepseek-ai-DeepSeek-V4": {"drop_thinking": True},
    "deepseek-ai-DeepSeek-V4-Flash-0731": {"drop_thinking": True},
    "poolside-Laguna-S-2.1": {"preserve_thinking": False},
}

# The server strips white space around messages that this template writes as they are (llama.cpp issue 24181).
DIFFERENT = ("StepFun3.5-Flash",)

# Encoders: no model that chats has such a vocabulary, and the engine refuses it.
ENCODERS = ("bert-bge", "nomic-bert-moe")


def vocabularies() -> list[Path]:
    files = sorted(MODELS.glob("ggml-vocab-*.gguf"))
    return [path for path in files if path.stem.removeprefix("ggml-vocab-") not in ENCODERS]


def templates() -> list[Path]:
    return sorted((MODELS / "templates").glob("*.jinja"))


def outcome(
    server: LlamaServer, model: Model, template: Path, messages: list[Message], thinking: Thinking
) -> str:
    """`equal`, `different`, or who refuses: `both`, `server`, `engine`."""
    rendered = TemplateFormat(
        template.read_text(encoding="utf-8"),
        model.token_text(model.begin_token),
        model.token_text(model.end_token),
        controls=lambda: [control.text for control in model.control_tokens],
    )
    try:
        segments = rendered.render(read_conversation(messages), thinking)
    except ChatTemplateFailed:
        segments = None
    variables = dict(SERVER_VARIABLES.get(template.stem, {}))
    if thinking != "automatic":
        variables["enable_thinking"] = thinking == "on"
    prompt = server.apply_template(messages, **variables)
    if prompt is None or segments is None:
        return "both" if prompt is None and segments is None else "server" if prompt is None else "engine"
    return "equal" if PromptTokenizer(model, "").ids(segments) == server.tokenize(prompt) else "different"


@pytest.mark.parametrize("template", templates(), ids=lambda path: path.stem)
def test_the_server_sends_the_same_ids(template: Path, vocabulary_models: dict[str, Model]) -> None:
    # The server always says yes or no to `enable_thinking`.
    has_switch = "enable_thinking" in template.read_text(encoding="utf-8")
    choices: tuple[Thinking, ...] = ("on", "off") if has_switch else ("automatic",)
    row: dict[str, Counter[str]] = {}
    for name, model in vocabulary_models.items():
        with serving(SERVER, model.path, "--chat-template-file", str(template)) as server:
            row[name] = Counter(
                outcome(server, model, template, messages, thinking)
                for messages in CONVERSATIONS
                for thinking in choices
            )
    print(template.stem, {name: dict(counts) for name, counts in row.items()})  # noqa: T201
    expected = {"equal"} if template.stem not in DIFFERENT else {"equal", "different"}
    assert all(set(counts) == expected for counts in row.values())


@pytest.fixture(scope="module")
def vocabulary_models(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Model]:
    folder = tmp_path_factory.mktemp("vocabularies")
    written = {
        path.stem.removeprefix("ggml-vocab-"): write_with_vocabulary(folder / path.name, path)
        for path in vocabularies()
    }
    return {name: Model(path, gpu_layers=0, vocabulary_only=True) for name, path in written.items()}
