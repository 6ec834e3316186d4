"""`chatbelle models`: what is on this disk and what there is to get; get, import, verify and remove it."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Mapping
from typing import Any

from app.arguments import add_command, wrap_wide_text
from app.shell import Shell
from convert.i18n.arguments import LocalizedParser, typed_path

NAME = "models"
_Adder = Callable[[LocalizedParser], None]


def add_parser(commands: argparse._SubParsersAction[LocalizedParser], parent: LocalizedParser) -> None:  # noqa: SLF001
    """Describe the subcommand and its own subcommands."""
    parser = add_command(commands, parent, NAME)
    parser.set_defaults(run=run, parser=parser, action="list", catalog=False, json=False)
    actions = parser.add_subparsers(
        dest="action",
        title=parser.text("cli.commands"),
        metavar=parser.text("cli.command"),
        parser_class=LocalizedParser,
    )
    for name, add_own in _ACTIONS.items():
        _add_action(actions, parser, name, add_own)


def run(options: argparse.Namespace, shell: Shell) -> int:
    """Do what was asked. Raises EngineError, ConvertError, AppError, OutputClosed."""
    from app.commands import model_queries, model_removal, model_work

    actions: Mapping[str, Callable[[argparse.Namespace, Shell], int]] = {
        "list": model_queries.list_models,
        "search": model_queries.search_models,
        "show": model_queries.show_model,
        "where": model_queries.show_places,
        "download": model_work.download_model,
        "import": model_work.import_from_disk,
        "add": model_queries.add_source,
        "verify": model_work.verify_model,
        "remove": model_removal.remove_model,
    }
    return actions[options.action or "list"](options, shell)


def _add_action(actions: Any, parent: LocalizedParser, name: str, add_own: _Adder) -> None:
    parser: LocalizedParser = actions.add_parser(
        name,
        help=parent.text(f"models.{name}.summary"),
        description=parent.text(f"models.{name}.description"),
        catalog=parent.catalog,
        language=parent.language,
    )
    wrap_wide_text(parser)
    parser.add_language_option()
    parser.options.add_argument("--json", action="store_true", help=parser.text("models.json"))
    add_own(parser)
    parser.set_defaults(parser=parser)


def _add_list(parser: LocalizedParser) -> None:
    parser.options.add_argument("--catalog", action="store_true", help=parser.text("models.list.catalog"))


def _add_search(parser: LocalizedParser) -> None:
    parser.arguments.add_argument("query", metavar="QUERY", help=parser.text("models.search.query"))
    parser.options.add_argument("--offline", action="store_true", help=parser.text("models.search.offline"))


def _add_name(parser: LocalizedParser) -> None:
    parser.arguments.add_argument("name", metavar="NAME", help=parser.text("models.name"))


def _add_conversion(parser: LocalizedParser, type_key: str) -> None:
    add = parser.options.add_argument
    add("--type", metavar="T", help=parser.text(type_key))
    add("--key", metavar="FILE", type=typed_path, help=parser.text("models.key"))
    add("--tokenizer", metavar="PATH", type=typed_path, help=parser.text("models.tokenizer"))


def _add_download(parser: LocalizedParser) -> None:
    parser.arguments.add_argument("name", metavar="NAME", help=parser.text("models.download.name"))
    _add_conversion(parser, "models.download.type")


def _add_import(parser: LocalizedParser) -> None:
    parser.arguments.add_argument(
        "path", metavar="PATH", type=typed_path, help=parser.text("models.import.path")
    )
    how = parser.options.add_mutually_exclusive_group()
    for option in ("--link", "--in-place"):
        value = option.removeprefix("--")
        text = parser.text(f"models.import.{value.replace('-', '_')}")
        how.add_argument(option, action="store_const", dest="how", const=value, default="copy", help=text)
    _add_conversion(parser, "models.import.type")


def _add_source(parser: LocalizedParser) -> None:
    parser.arguments.add_argument("source", metavar="SOURCE", help=parser.text("models.add.source"))


def _add_remove(parser: LocalizedParser) -> None:
    _add_name(parser)
    parser.options.add_argument("--yes", action="store_true", help=parser.text("models.remove.yes"))
    how = parser.options.add_mutually_exclusive_group()
    how.add_argument("--delete", action="store_true", help=parser.text("models.remove.delete"))
    how.add_argument("--keep-file", action="store_true", help=parser.text("models.remove.keep_file"))


def _add_where(parser: LocalizedParser) -> None:
    add = parser.options.add_argument
    add("--add", metavar="FOLDER", type=typed_path, help=parser.text("models.where.add"))
    add("--drop", metavar="FOLDER", type=typed_path, help=parser.text("models.where.drop"))


_ACTIONS: Mapping[str, _Adder] = {
    "list": _add_list,
    "search": _add_search,
    "show": _add_name,
    "download": _add_download,
    "import": _add_import,
    "add": _add_source,
    "remove": _add_remove,
    "verify": _add_name,
    "where": _add_where,
}
