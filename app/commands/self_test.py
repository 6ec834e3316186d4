"""`chatbelle self-test`: whether this installation works, as a report that can be pasted anywhere."""

from __future__ import annotations

import argparse
from contextlib import closing

from app.arguments import add_command
from app.shell import EXIT_FAILED, EXIT_OK, Shell
from convert.i18n.arguments import LocalizedParser

NAME = "self-test"


def add_parser(commands: argparse._SubParsersAction[LocalizedParser], parent: LocalizedParser) -> None:
    """Describe the subcommand."""
    parser = add_command(commands, parent, NAME)
    forms = parser.options.add_mutually_exclusive_group()
    forms.add_argument("--json", action="store_true", help=parser.text("self-test.json"))
    forms.add_argument("--events", action="store_true", help=parser.text("self-test.events"))
    parser.set_defaults(run=run)


def run(options: argparse.Namespace, shell: Shell) -> int:
    """Test and report; 1 if a step failed. Raises OutputClosed."""
    if options.events:
        return _be_the_child(shell)
    from app.self_test.child import SelfTest
    from app.self_test.report import report_document, report_text
    from app.self_test.steps import Report, StepStarted

    report = Report()
    with closing(SelfTest(shell.texts).events()) as events:
        for event in events:
            match event:
                case StepStarted() if not options.json:
                    step = shell.texts.text(f"self-test.step.{event.name}")
                    shell.terminal.note(shell.texts.text("self-test.running", step=step))
                case Report():
                    report = event
    if options.json:
        shell.terminal.write_json(report_document(report))
    else:
        shell.terminal.write_raw(f"{report_text(report, shell.texts)}\n")
    return EXIT_OK if report.is_ok else EXIT_FAILED


def _be_the_child(shell: Shell) -> int:
    from app.self_test.child import write_events
    from app.self_test.run import run_checks

    with closing(run_checks(shell.texts, shell.home)) as events:
        is_ok = write_events(events, shell.terminal.write_raw)
    return EXIT_OK if is_ok else EXIT_FAILED
