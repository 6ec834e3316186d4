"""`chatbelle chat`: one answer, or a conversation, in the terminal."""

from __future__ import annotations

import argparse

from app.answers import answer_document, collect_answer, remarks, stream_answer, summary_line
from app.arguments import (
    add_command,
    add_model_options,
    add_sampling_options,
    asked_sampling,
    load_options,
)
from app.chat.choices import find_key
from app.demo_model import DEMO_SAMPLING
from app.dialogue import Dialogue
from app.errors import DataFolderError
from app.model_values import ModelValues
from app.models.finding import DEMO_NAME, open_library
from app.prompt_choice import with_prompt_format
from app.settings import read_settings
from app.shell import EXIT_INTERRUPTED, EXIT_OK, ChosenModel, Shell, warn_of_context
from app.terminal import remove_surrogates
from convert.i18n.arguments import LocalizedParser
from engine.models.model_sampling import resolve_for
from engine.types import Finished, FinishReason, LoadOptions, ModelInfo, Sampling

NAME = "chat"
_LARGE_BYTES = 500_000_000


def add_parser(commands: argparse._SubParsersAction[LocalizedParser], parent: LocalizedParser) -> None:
    """Describe the subcommand."""
    parser = add_command(commands, parent, NAME)
    parser.arguments.add_argument("prompt", nargs="?", metavar="PROMPT", help=parser.text("chat.prompt"))
    add_model_options(parser)
    add = parser.options.add_argument
    add("--system", metavar="TEXT", help=parser.text("chat.system"))
    add_sampling_options(parser)
    add("--json", action="store_true", help=parser.text("chat.json"))
    parser.set_defaults(run=run, parser=parser)


def run(options: argparse.Namespace, shell: Shell) -> int:
    """Answer the prompt, or chat. Raises EngineError, ConvertError, AppError, OutputClosed."""
    question = _question(options, shell)
    model = shell.choose_model(options.model)
    backend = shell.make_backend()
    try:
        if model.path.is_file() and model.path.stat().st_size > _LARGE_BYTES:
            shell.terminal.note(shell.texts.text("chat.loading", path=model.path))
        load = _load_options(options, model, shell)
        info = backend.load(model.path, load)
        warn_of_context(options.ctx, info, shell)
        for line in _base_notes(info, shell):
            shell.terminal.note(line)
        if not model.is_demo:
            open_library(shell.home).note_used(model.path)
        for remark in _thinking_remarks(options, info, shell):
            shell.terminal.note(remark)
        sampling = _sampling(options, model, load, shell)
        dialogue = Dialogue(backend, sampling, remove_surrogates(options.system or ""))
        if question is None:
            return _converse(dialogue, info, model, shell)
        return _answer_once(dialogue, question, info, model, shell, as_json=options.json)
    finally:
        backend.unload()


def _question(options: argparse.Namespace, shell: Shell) -> str | None:
    """The PROMPT, or stdin where it is `-`, and what was piped besides; None for a conversation.

    Exits with 2 if empty.
    """
    if options.prompt is None:
        if options.json:
            options.parser.error(shell.texts.text("chat.json_needs_prompt"))
        return None
    is_stdin = options.prompt == "-"
    asked = _clean(shell.terminal.stdin.read() if is_stdin else options.prompt)
    if not asked.strip():
        options.parser.error(shell.texts.text("chat.empty_prompt"))
    piped = "" if is_stdin else _clean(shell.terminal.read_piped(lambda: _say_waiting(shell)))
    return f"{asked}\n\n{piped}" if piped.strip() else asked


def _clean(text: str) -> str:
    return remove_surrogates(text).removeprefix("\ufeff").rstrip("\r\n")


def _say_waiting(shell: Shell) -> None:
    shell.terminal.note(shell.texts.text("chat.waiting_for_stdin"))


def _load_options(options: argparse.Namespace, model: ChosenModel, shell: Shell) -> LoadOptions:
    """What was asked for; else in the prompt format that this person chose for the model in the window."""
    load = load_options(options, model.threads)
    if options.prompt_format is not None or model.is_demo:
        return load
    chosen = read_settings(shell.home.root).prompt_format_of(find_key(model.path, shell.home))
    return with_prompt_format(load, chosen)


def _sampling(options: argparse.Namespace, model: ChosenModel, load: LoadOptions, shell: Shell) -> Sampling:
    """What was asked for, what this person set for the model, and what the model itself wants."""
    settings = read_settings(shell.home.root)
    key = DEMO_NAME if model.is_demo else find_key(model.path, shell.home)
    wants = DEMO_SAMPLING if model.is_demo else ModelValues().of_file(model.path, load)
    resolved = resolve_for(wants, conversation=asked_sampling(options), own=settings.sampling_of(key))
    return resolved.sampling


def _thinking_remarks(options: argparse.Namespace, info: ModelInfo, shell: Shell) -> list[str]:
    """What was asked of thoughts that this model can't do."""
    remarks = []
    if options.thinking is not None and not info.can_switch_thinking:
        key = "chat.always_thinks" if info.thinks else "chat.never_thinks"
        remarks.append(shell.texts.text(key, option="--think" if options.thinking == "on" else "--no-think"))
    if options.thought_budget is not None and not info.thinks:
        remarks.append(shell.texts.text("chat.never_thinks", option="--thought-budget"))
    return remarks


def _answer_once(
    dialogue: Dialogue, question: str, info: ModelInfo, model: ChosenModel, shell: Shell, *, as_json: bool
) -> int:
    if as_json:
        finished = collect_answer(dialogue, question)
        shell.terminal.write_json(answer_document(info, finished, is_demo=model.is_demo))
    else:
        finished = stream_answer(dialogue, question, shell.terminal, shell.texts)
        _comment(finished, _name(info, model, shell), shell)
    return EXIT_INTERRUPTED if finished.reason is FinishReason.CANCELLED else EXIT_OK


def _comment(finished: Finished, model_name: str, shell: Shell) -> None:
    for remark in remarks(shell.texts, finished):
        shell.terminal.note(remark)
    shell.terminal.note(summary_line(shell.texts, model_name, finished.statistics))


def _converse(dialogue: Dialogue, info: ModelInfo, model: ChosenModel, shell: Shell) -> int:
    from app.chat_loop import COMMANDS, ChatLoop
    from app.questions import open_reader

    for line in _greeting(info, model, shell):
        shell.terminal.note(line)
    try:
        shell.home.make()
    except DataFolderError:
        history_path = None
    else:
        history_path = shell.home.terminal_history
    reader = open_reader(shell.terminal, history_path, tuple(COMMANDS))
    return ChatLoop(dialogue, reader, shell.terminal, shell.texts, _name(info, model, shell)).run()


def _greeting(info: ModelInfo, model: ChosenModel, shell: Shell) -> list[str]:
    """Which model answers, what can be expected of it, and what to do next."""
    from convert.checkpoint import parameters_text

    values = {
        "name": _name(info, model, shell),
        "parameters": parameters_text(info.n_parameters),
        "quantization": info.quantization,
        "context_tokens": info.context_tokens,
        "threads": info.n_threads,
    }
    lines = [shell.texts.text("chat.model", **values)]
    if model.is_demo:
        lines += [shell.texts.text("chat.demo"), shell.texts.text("chat.better_models")]
    return [*lines, shell.texts.text("chat.hint")]


def _base_notes(info: ModelInfo, shell: Shell) -> list[str]:
    """What to expect of a model that only continues text; nothing of others."""
    if not info.is_base:
        return []
    text = shell.texts.text
    likely = [text("chat.base.likely", format=info.likely_format)] if info.likely_format else []
    return [text("chat.base"), *likely]


def _name(info: ModelInfo, model: ChosenModel, shell: Shell) -> str:
    return shell.texts.text("demo.name") if model.is_demo else info.name or model.path.stem
