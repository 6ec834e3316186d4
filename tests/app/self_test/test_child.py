"""The self-test's process: stopped, hung, not to be started; and without any temporary folder."""

from __future__ import annotations

import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from app.i18n import Texts
from app.self_test.child import SelfTest
from app.self_test.steps import STEP_NAMES, Report, StepEnded, StepStarted

ROOT = Path(__file__).resolve().parents[3]

_WITHOUT_TEMPORARY = """
import sys, tempfile
from pathlib import Path
from app.home import Home
from app.i18n import Texts
from app.self_test.run import run_checks
from app.self_test.steps import StepEnded

def nowhere(*arguments, **options):
    raise FileNotFoundError(2, "No usable temporary directory found")

tempfile.mkdtemp = tempfile.gettempdir = nowhere
for event in run_checks(Texts("en"), Home(Path(sys.argv[1]))):
    if isinstance(event, StepEnded):
        print(event.name, event.state, event.detail)
"""


def last(events: list[StepStarted | StepEnded | Report]) -> Report:
    report = events[-1]
    assert isinstance(report, Report)
    return report


def test_every_step_is_told_when_it_begins_and_ends() -> None:
    events = list(SelfTest(Texts("en")).events())

    told = [(type(event), event.name) for event in events[:-1] if not isinstance(event, Report)]
    assert told == [(kind, name) for name in STEP_NAMES for kind in (StepStarted, StepEnded)]
    assert last(events).is_ok


def test_it_can_be_stopped_and_what_was_tried_is_reported() -> None:
    test = SelfTest(Texts("en"))
    events = []
    for event in test.events():
        events.append(event)
        if event == StepStarted("engine"):
            test.stop()

    report = last(events)
    assert [step.name for step in report.failed] == ["engine"]
    assert [step.state for step in report.steps[:3]] == ["ok"] * 3
    assert len(report.steps) == len(STEP_NAMES)


def test_who_listens_no_more_leaves_no_process(monkeypatch: pytest.MonkeyPatch) -> None:
    started: list[subprocess.Popen[bytes]] = []
    popen = subprocess.Popen

    def remember(*arguments: object, **options: object) -> subprocess.Popen[bytes]:
        started.append(popen(*arguments, **options))  # type: ignore[call-overload]
        return started[-1]

    monkeypatch.setattr(subprocess, "Popen", remember)
    events = SelfTest(Texts("en")).events()
    next(events)
    events.close()

    assert len(started) == 1
    assert started[0].poll() is not None


def test_a_step_without_an_end_is_given_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shim = tmp_path / "llama_cpp" / "__init__.py"
    shim.parent.mkdir()
    shim.write_text("import time\nwhile True:\n    time.sleep(1)\n")
    monkeypatch.syspath_prepend(str(tmp_path))

    report = last(list(SelfTest(Texts("en"), patience_s=8).events()))

    assert "took too long" in report.failed[0].detail


def test_a_program_that_cannot_be_started_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "executable", str(tmp_path / "gone"))

    report = last(list(SelfTest(Texts("zh-CN")).events()))

    assert "无法启动自检" in report.failed[0].detail
    assert not report.is_ok


def test_without_a_temporary_folder_the_rest_is_still_tried(tmp_path: Path) -> None:
    result = subprocess.run(
        [sys.executable, "-c", _WITHOUT_TEMPORARY, str(tmp_path)],
        capture_output=True,
        encoding="utf-8",
        cwd=ROOT,
        timeout=120,
    )

    states = {line.split()[0]: line.split()[1] for line in result.stdout.splitlines()}
    assert states["temporary"] == "failed"
    assert "No usable temporary directory found" in result.stdout
    assert [name for name, state in states.items() if state == "skipped"] == [
        *("demo", "convert", "history", "page")
    ]
    assert states["engine"] == states["fonts"] == "ok"
    assert list(tmp_path.iterdir()) == []


def test_no_temporary_folder_is_no_reason_not_to_report(monkeypatch: pytest.MonkeyPatch) -> None:
    def nowhere() -> str:
        raise FileNotFoundError(2, "No usable temporary directory found")

    monkeypatch.setattr(tempfile, "gettempdir", nowhere)
    monkeypatch.setattr(tempfile, "mkdtemp", lambda **_options: nowhere())

    assert len(last(list(SelfTest(Texts("en")).events())).steps) == len(STEP_NAMES)
