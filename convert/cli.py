"""belle-convert: the converter at the command line.

Exit codes: 0; 1 after a refusal, with one sentence on stderr; 2 for usage; when a signal stopped it,
128 and the signal's number: 130 after Ctrl-C.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Callable, Mapping, Sequence
from functools import cache
from typing import TYPE_CHECKING

from convert.errors import ConvertError
from convert.i18n import Catalog, system_language
from convert.i18n.arguments import requested_language
from convert.interrupts import exit_code, stopping_on_signals
from engine.errors import NativeLibraryMissing, ProcessorTooOld
from engine.native.registry import require_processor

if TYPE_CHECKING:
    from convert.checkpoint import Checkpoint
    from convert.terminal import Terminal

EXIT_FAILED = 1
EXIT_USAGE = 2


@cache
def catalog() -> Catalog:
    """The converter's texts."""
    return Catalog("convert.i18n")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line and return the exit code."""
    given = list(sys.argv[1:] if arguments is None else arguments)
    language = requested_language(given, system_language())
    try:
        require_processor()
    except (NativeLibraryMissing, ProcessorTooOld) as error:
        sys.stderr.write(catalog().error_text(error, language) + "\n")
        return EXIT_FAILED
    from convert.options import Options

    parser = Options(catalog(), language).parser
    options = parser.parse_args(given)
    if options.command is None:
        sys.stderr.write(parser.format_help())
        return EXIT_USAGE
    from convert.terminal import Terminal

    terminal = Terminal(catalog(), language, as_json=options.json)
    try:
        with stopping_on_signals():
            _COMMANDS[options.command](options, terminal)
            sys.stdout.flush()
    except KeyboardInterrupt as interrupt:
        terminal.note(catalog().text("cli.interrupted", language))
        return exit_code(interrupt)
    except BrokenPipeError:  # the reader left
        _abandon_stdout()
    except (ConvertError, NativeLibraryMissing) as error:
        terminal.fail(error)
        return EXIT_FAILED
    except OSError as error:  # what can't be said of a file, such as a full disk behind stdout
        _abandon_stdout()
        reason = error.strerror or str(error)
        terminal.note(catalog().text("cli.system_error", language, reason=reason))
        return EXIT_FAILED
    except MemoryError:
        terminal.note(catalog().text("cli.out_of_memory", language))
        return EXIT_FAILED
    return 0


def _abandon_stdout() -> None:
    """Keep the interpreter from failing again when it flushes at exit."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _open(options: argparse.Namespace) -> Checkpoint:
    from convert.detect import open_checkpoint

    return open_checkpoint(
        options.source, options.tokenizer, options.key, file=options.file, loras=options.lora or ()
    )


def _inspect(options: argparse.Namespace, terminal: Terminal) -> None:
    from convert.report import inspection

    with _open(options) as checkpoint:
        terminal.show_inspection(inspection(checkpoint, checkpoint.prompt(options.prompt_format)))


def _to_gguf(options: argparse.Namespace, terminal: Terminal) -> None:
    from convert.pipeline import Converted, convert
    from convert.report import conversion

    with _open(options) as checkpoint:
        prompt = checkpoint.prompt(options.prompt_format)
        plan = checkpoint.plan(options.type, prompt)
        with terminal.progress() as bar:
            for event in convert(plan, options.output, threads=options.threads, force=options.force):
                if isinstance(event, Converted):
                    result = conversion(plan, prompt, event, checkpoint.notes)
                else:
                    bar.update(event.phase, event.tensor, event.done_bytes, event.total_bytes)
        terminal.show_conversion(result)


def _decrypt(options: argparse.Namespace, terminal: Terminal) -> None:
    from convert.decrypt import Decrypted, decrypt, verify_key

    with terminal.progress() as bar:
        if options.check_key:
            for checked in verify_key(options.key):
                bar.update("check_key", checked.name, checked.done_bytes, checked.total_bytes)
        for event in decrypt(options.source, options.key, options.output, force=options.force):
            if isinstance(event, Decrypted):
                result = event
            else:
                bar.update("decrypt", event.name, event.done_bytes, event.total_bytes)
    terminal.show_decrypted(result)


_COMMANDS: Mapping[str, Callable[[argparse.Namespace, Terminal], None]] = {
    "inspect": _inspect,
    "to-gguf": _to_gguf,
    "decrypt": _decrypt,
}


if __name__ == "__main__":
    sys.exit(main())
