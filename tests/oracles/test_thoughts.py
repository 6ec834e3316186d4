"""Our thoughts and answers beside those of llama.cpp's server: one tiny model for each of its templates,
which writes a thought as the maker's template does.

Slow: needs the server that `build_llama_cpp.sh` builds, with its source beside it; CHATBELLE_LLAMA_SERVER
names it. Run with `-s` for the table.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

import pytest

from builders.chats import user
from builders.gguf_models import END, Vocabulary, byte_vocabulary, write_scripted_model
from engine.answer import Answer
from engine.chat_template import TemplateFormat
from engine.conversation import read_conversation
from engine.in_process import InProcessBackend
from engine.llama import Model
from engine.prompt import RenderedText
from engine.prompt_tokens import PromptTokenizer
from engine.thought_formats import ThoughtFormat, thought_format
from engine.thought_tokens import read_thoughts
from engine.thoughts import tags_around
from engine.types import Finished, FinishReason, LoadOptions, Message, Sampling, Thinking
from oracles.llama_server import serving

SERVER = os.environ.get("CHATBELLE_LLAMA_SERVER", "")
TEMPLATES = Path(SERVER).parent.parent / "source" / "vendor" / "llama.cpp" / "models" / "templates"

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not SERVER, reason="CHATBELLE_LLAMA_SERVER names no llama-server"),
]

QUESTION = user("WHAT?")
THOUGHT, ANSWER = "Hm, hm.", "Four."
CONTROLS = (
    *("<|channel|>", "<|message|>", "<|start|>", "<|end|>", "<|return|>", "<|call|>", "<|eom|>", "<|think|>"),
    *(
        "<|channel>",
        "<channel|>",
        "<|open|>",
        "<|close|>",
        "<|sep|>",
        "<|begin|>",
        "<|content|>",
        "<|calls|>",
    ),
    *("<|flush|>", "<|START_THINKING|>", "<|END_THINKING|>", "<|inner_prefix|>", "<|inner_suffix|>"),
)

# What we take for a thought, or don't, and the server does otherwise.
DIFFERENT = {
    "Apertus-8B-Instruct": "the server knows no thoughts of it",
    "Apriel-1.6-15b-Thinker-fixed": "the server leaves the opening line in the thought",
    "Kimi-K2-Instruct": "the model does not think, its template has no tags",
    "LFM2.5-Instruct": "the template removes thoughts from earlier answers, the server shows them",
    "ibm-granite-granite-3.3-2B-Instruct": "the server leaves <response> in the answer",
    "llama-cpp-rwkv-world": "the server misses the thought that the prompt opened",
    "meetkai-functionary-medium-v3.2": "the server refuses an answer without a recipient",
    "moonshotai-Kimi-K2": "the model does not think, its template has no tags",
    "unsloth-Apriel-1.5": "the server knows no thoughts of it",
    "upstage-Solar-Open-100B": "the server knows no thoughts of it",
}


every_template = pytest.mark.parametrize(
    "template", sorted(TEMPLATES.glob("*.jinja")) if SERVER else [], ids=lambda path: path.stem
)


def read_format(source: str) -> ThoughtFormat | None:
    return thought_format(source, "llama", lambda text: text in CONTROLS)


def make_vocabulary(form: ThoughtFormat | None, *words: str) -> Vocabulary:
    """One with a token for whatever stands around a thought."""
    around = {form.before, form.after} if form else {"<think>", "</think>"}
    return byte_vocabulary(words, control=CONTROLS, user_defined=sorted(around - {*CONTROLS}))


def write_model(
    path: Path,
    vocabulary: Vocabulary,
    prompt: Sequence[int],
    texts: Sequence[str],
    template: str | None = None,
) -> list[int]:
    """A model that says `texts`, each one token, after `prompt`; the tokens."""
    said = [vocabulary.ids[text.encode()] for text in texts]
    steps = [prompt[-1], *said, END]
    assert len(set(steps)) == len(steps)
    following = dict(zip(steps, steps[1:], strict=False))
    write_scripted_model(path, following, vocabulary=vocabulary, context=16_384, chat_template=template)
    return said


@every_template
def test_thoughts_are_those_of_the_server(template: Path, tmp_path: Path) -> None:
    source = template.read_text(encoding="utf-8")
    form = read_format(source)
    vocabulary = make_vocabulary(form, THOUGHT, ANSWER)
    path = tmp_path / "model.gguf"
    write_model(path, vocabulary, (0,), [THOUGHT])
    options = ("-c", "16384", "--chat-template-file", str(template))
    with serving(SERVER, path, *options) as server:
        prompt = server.apply_template([QUESTION])
        assert prompt is not None
        ids = server.tokenize(prompt)
    opening = prompt[prompt.rindex(QUESTION.text) + len(QUESTION.text) :]
    tags = tags_around(form, opening) if form else ("<think>", "</think>")
    texts = [text for text in (tags[0], THOUGHT, tags[1]) if text] if tags else []
    said = write_model(path, vocabulary, ids, [*texts, ANSWER])

    with serving(SERVER, path, *options) as server:
        theirs = server.chat([QUESTION])
    model = Model(path, vocabulary_only=True)
    answer = Answer(model.piece, thoughts=read_thoughts(source, "llama", model), opening=opening)
    for token in said:
        list(answer.push(token))
    list(answer.finish(FinishReason.END))
    ours = answer.message("")
    model.close()
    name = form.name if form else "-"
    print(f"{template.stem:50} {name:17} {(ours.thought, ours.text)!r:40} {theirs}")  # noqa: T201
    assert (theirs == (ours.thought, ours.text)) == (template.stem not in DIFFERENT)


@every_template
@pytest.mark.parametrize("thinking", ["automatic", "on", "off"])
def test_going_on_from_anywhere_gives_the_whole_answer(
    template: Path, thinking: Thinking, tmp_path: Path
) -> None:
    source = template.read_text(encoding="utf-8")
    form = read_format(source)
    if form is None:
        pytest.skip("no thoughts")
    vocabulary = make_vocabulary(form, "Hm", "Fo")
    path = tmp_path / "model.gguf"
    write_model(path, vocabulary, (0,), [])
    ids, opening = our_prompt(path, source, form, thinking)
    tags = tags_around(form, opening)
    texts = [*([tags[0]] if tags and tags[0] else []), *(["Hm", "~", tags[1]] if tags else []), "Fo", "^"]
    write_model(path, vocabulary, ids, texts, source)
    backend = InProcessBackend()
    backend.load(path, LoadOptions(context_tokens=8192, threads=1))

    def answer(messages: list[Message], max_tokens: int) -> Message:
        sampling = Sampling(temperature=0, repetition_penalty=1.0, max_tokens=max_tokens, thinking=thinking)
        *_, finished = backend.chat(messages, sampling)
        assert isinstance(finished, Finished)
        return finished.message

    whole = answer([QUESTION], 40)
    assert (whole.thought, whole.text) == ("Hm~" if tags else "", "Fo^")
    for n_tokens in range(1, len(texts)):
        assert answer([QUESTION, answer([QUESTION], n_tokens)], 40) == whole
    backend.unload()


def our_prompt(
    path: Path, template: str, form: ThoughtFormat, thinking: Thinking
) -> tuple[tuple[int, ...], str]:
    """Our ids for the question, and what the template writes after it."""
    model = Model(path, vocabulary_only=True)
    prompt_format = TemplateFormat(
        template,
        model.token_text(model.begin_token),
        model.token_text(model.end_token),
        controls=lambda: [control.text for control in model.control_tokens],
        thoughts=form,
    )
    segments = prompt_format.render(read_conversation([QUESTION]), thinking)
    ids = PromptTokenizer(model, "").ids(segments)
    model.close()
    rendered = segments[-1]
    assert isinstance(rendered, RenderedText)
    return ids, rendered.text[rendered.opening :]
