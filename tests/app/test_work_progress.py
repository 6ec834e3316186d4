"""What `chatbelle models` tells of long work: in a terminal, and in a log."""

from __future__ import annotations

import io
import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from rich.cells import cell_len

from app.commands.work_progress import TerminalProgress
from app.home import Home
from app.i18n import Texts
from app.models.progress import Phase, WorkProgress
from app.shell import Shell, make_backend
from app.terminal import Terminal
from builders.hub import Fault, LocalHub
from builders.processes import Run, document
from convert.i18n import LANGUAGES, Language

CONVERTING = WorkProgress(
    "convert",
    "blk.3",
    done_bytes=9_530_000_000,
    total_bytes=28_020_000_000,
    bytes_per_s=12_345_678.0,
    left_s=1500.0,
    n_tensors_done=123,
    n_tensors=434,
)
WAITING = replace(CONVERTING, host="hub.example", waiting_s=4.4)


class Stream(io.StringIO):
    """stderr in memory; `columns` are those of the terminal that it claims to be, 0 of none."""

    def __init__(self, columns: int) -> None:
        super().__init__()
        self.columns = columns

    def isatty(self) -> bool:
        return self.columns > 0


class Screen:
    """Shows progress at times that a test tells."""

    def __init__(
        self, monkeypatch: pytest.MonkeyPatch, columns: int = 100, language: Language = "en"
    ) -> None:
        monkeypatch.setenv("NO_COLOR", "1")
        monkeypatch.setenv("TERM", "xterm")
        self.now_s = 1000.0
        self.stdout, self.stderr = io.StringIO(), Stream(columns)
        self.terminal = Terminal(io.StringIO(), self.stdout, self.stderr)
        monkeypatch.setattr(Terminal, "n_columns", property(lambda terminal: terminal.stderr.columns))
        shell = Shell(Texts(language), self.terminal, Home(Path("/nowhere")), make_backend)
        self.progress = TerminalProgress(shell, lambda: self.now_s)

    def after(self, seconds: float, progress: WorkProgress) -> None:
        self.now_s += seconds
        self.progress.update(progress)

    @property
    def drawn(self) -> list[str]:
        """Every state of the line below the phase's name."""
        return self.stderr.getvalue().partition("\n")[2].removesuffix("\n").split("\r")[1:]

    @property
    def lines(self) -> list[str]:
        return self.stderr.getvalue().splitlines()


def at(percent: float, phase: Phase = "download") -> WorkProgress:
    return WorkProgress(phase, "x", done_bytes=int(percent * 10_000_000), total_bytes=1_000_000_000)


@pytest.fixture
def log(monkeypatch: pytest.MonkeyPatch) -> Screen:
    return Screen(monkeypatch, columns=0)


def test_a_terminal_has_one_line_with_all_of_it(monkeypatch: pytest.MonkeyPatch) -> None:
    english, chinese = Screen(monkeypatch), Screen(monkeypatch, language="zh-CN")

    for screen in (english, chinese):
        with screen.progress:
            screen.after(0, CONVERTING)

    assert english.stderr.getvalue() == (
        "Converting ...\n\r 34%  9.53 / 28.02 GB  12 MB/s  about 25 min left  tensor 123 of 434\n"
    )
    assert chinese.stderr.getvalue() == (
        "正在转换……\n\r 34%  9.53 / 28.02 GB  12 MB/秒  约剩 25 分钟  第 123 / 434 个张量\n"
    )
    assert english.stdout.getvalue() == ""


def test_it_is_drawn_once_a_second_and_with_the_last_at_its_end(monkeypatch: pytest.MonkeyPatch) -> None:
    screen = Screen(monkeypatch)

    with screen.progress:
        for percent in range(20):
            screen.after(0.2, at(percent))

    assert [line[:4] for line in screen.drawn] == ["  0%", "  5%", " 10%", " 15%", " 19%"]
    assert screen.stderr.getvalue().endswith("GB\n")


def test_each_phase_keeps_the_line_it_ended_with(monkeypatch: pytest.MonkeyPatch) -> None:
    screen = Screen(monkeypatch)

    with screen.progress:
        screen.after(0, WorkProgress("ask", "x"))
        screen.after(0.1, at(0))
        screen.after(0.1, at(100))
        screen.after(0.1, at(100, "verify"))

    assert screen.stderr.getvalue() == (
        "Asking the hub ...\n"
        "Downloading ...\n\r  0%  0.00 / 1.00 GB\r100%  1.00 / 1.00 GB\n"
        "Verifying ...\n\r100%  1.00 / 1.00 GB\n"
    )


@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize("columns", [2, 20, 40, 57, 58, 70])
def test_a_line_is_never_as_wide_as_the_terminal(
    monkeypatch: pytest.MonkeyPatch, language: Language, columns: int
) -> None:
    screen = Screen(monkeypatch, columns, language)

    with screen.progress:
        for progress in (CONVERTING, WAITING, CONVERTING):
            screen.after(1, progress)

    assert len(screen.drawn) == 3
    assert all(cell_len(line) < columns for line in screen.drawn)


def test_a_shorter_line_covers_the_one_before_it(monkeypatch: pytest.MonkeyPatch) -> None:
    screen = Screen(monkeypatch, language="zh-CN")

    with screen.progress:
        for progress in (CONVERTING, at(1, "convert"), at(2, "convert")):
            screen.after(1, progress)

    first, second, third = screen.drawn
    assert cell_len(second) == cell_len(first)
    assert third == third.rstrip()


def test_a_terminal_tells_who_is_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    screen = Screen(monkeypatch)

    with screen.progress:
        screen.after(0, WAITING)
        screen.after(1, replace(WAITING, waiting_s=3.4))

    assert screen.drawn == [
        f" 34%  9.53 / 28.02 GB  waiting for hub.example, next try in {seconds} s" for seconds in (4, 3)
    ]


@pytest.mark.parametrize("columns", [0, 100])
def test_an_interrupt_ends_the_line(monkeypatch: pytest.MonkeyPatch, columns: int) -> None:
    screen = Screen(monkeypatch, columns)

    def work() -> None:
        with screen.progress:
            screen.after(0, at(0))
            screen.after(0.1, at(12))
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        work()
    screen.terminal.note("Interrupted.")

    assert screen.lines[-2:] == [" 12%  0.12 / 1.00 GB", "Interrupted."]


def test_work_that_tells_nothing_leaves_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    screen = Screen(monkeypatch)

    with screen.progress:
        pass

    assert screen.stderr.getvalue() == ""


def test_a_terminal_that_only_goes_forward_gets_lines(monkeypatch: pytest.MonkeyPatch) -> None:
    screen = Screen(monkeypatch)
    monkeypatch.setenv("TERM", "dumb")

    with screen.progress:
        screen.after(0, at(10))

    assert screen.stderr.getvalue() == "Downloading ...\n 10%  0.10 / 1.00 GB\n"


def test_a_log_has_a_line_every_ten_percent(log: Screen) -> None:
    with log.progress:
        for percent in range(0, 101, 3):
            log.after(0.2, at(percent))
        log.after(0, CONVERTING)

    assert [line[:4] for line in log.lines] == [
        "Down", *(f"{percent:3}%" for percent in (12, 21, 30, 42, 51, 60, 72, 81, 90)), "Conv", " 34%"
    ]  # fmt: skip
    assert log.lines[-1] == " 34%  9.53 / 28.02 GB  12 MB/s  about 25 min left  tensor 123 of 434"
    assert "\r" not in log.stderr.getvalue()


def test_a_log_has_a_line_each_minute(log: Screen) -> None:
    with log.progress:
        for tick in range(601):  # two and a half minutes
            log.after(0.25, at(tick / 100))

    assert log.lines == ["Downloading ...", "  2%  0.02 / 1.00 GB", "  4%  0.05 / 1.00 GB"]


def test_a_log_has_a_line_for_each_outage_and_not_for_each_try(log: Screen) -> None:
    def outage(*hosts: str) -> Iterator[WorkProgress]:
        for host in hosts:
            waiting = replace(at(5), host=host)
            yield from (replace(waiting, waiting_s=left_s) for left_s in (2.0, 1.0))
            yield waiting  # it is asked, in vain

    with log.progress:
        for progress in (at(5), *outage("a", "b", "a", "b"), at(6), *outage("b")):
            log.after(0.25, progress)
        for _ in range(100):
            log.after(1, replace(at(5), host="b", waiting_s=9.0))

    assert [line.partition("GB  ")[2] for line in log.lines[1:]] == [
        "waiting for a, next try in 2 s",
        "waiting for b, next try in 2 s",
        "waiting for b, next try in 2 s",
        "waiting for b, next try in 9 s",
    ]


@pytest.mark.skipif(sys.platform == "win32", reason="it has no such terminals")
def test_a_real_terminal_sees_a_download_wait_and_end(
    chatbelle: Run, tiny_model: Path, home_folder: Path
) -> None:
    import pty

    person, terminal = pty.openpty()
    with LocalHub() as hub, os.fdopen(person, "rb", 0) as screen:
        hub.add("owner/name", "tiny.gguf", tiny_model.read_bytes())
        busy = iter([Fault(status=429, headers={"Retry-After": "2"})] * 4)
        hub.fault = lambda seen: next(busy, None) if seen.server == "lfs" else None
        result = chatbelle(
            *("models", "download", "owner/name/tiny.gguf", "--json"),
            env={"HF_ENDPOINT": hub.url, "NO_PROXY": "127.0.0.1,localhost"},
            capture_output=False,
            stdout=subprocess.PIPE,
            stderr=terminal,
        )
        shown = screen.read(1 << 16).decode()
        os.close(terminal)

    assert Path(document(result)["path"]).parent == home_folder / "models"
    assert f"waiting for {hub.url.removeprefix('http://')}, next try in" in shown
    assert "\r100%" in shown
    assert shown.endswith("\r\n")
