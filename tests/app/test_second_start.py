"""Several starts on one data folder, as processes: one app, whoever comes first, and nothing gets lost."""

from __future__ import annotations

import http.client
import os
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from app.gui.control import Opening
from app.history.lock import read_owner
from builders.processes import Run

ROOT = Path(__file__).resolve().parents[2]
ADDRESS = re.compile(r"http://127\.0\.0\.1:\d+/[\w-]{16,}/")
WAIT_S = 60

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="ended by signals")


class Running:
    """`chatbelle`, which serves the app or has let another one do so."""

    def __init__(self, environ: dict[str, str], folder: Path, *arguments: str) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-m", "app.cli", "--no-browser", *arguments],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            encoding="utf-8",
            env=environ | {"PYTHONPATH": str(ROOT), "PYTHONUNBUFFERED": "1"},
            cwd=folder,
        )
        self.said: list[str] = []
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def address(self) -> str:
        """The page's, once it is there."""
        assert self.process.stdout is not None
        line = self.process.stdout.readline().strip()
        assert ADDRESS.fullmatch(line), (line, self.said)
        return line

    def is_serving(self) -> bool:
        """Whether this is the one that serves."""
        return self.process.poll() is None

    def end(self, number: int = signal.SIGTERM) -> int:
        """Its exit code; what it said is whole by then."""
        if self.process.poll() is None:
            self.process.send_signal(number)
        code = self.process.wait(WAIT_S)
        self._reader.join(WAIT_S)
        return code

    def _read(self) -> None:
        assert self.process.stderr is not None
        self.said.extend(self.process.stderr)


@pytest.fixture
def start(environ: dict[str, str], tmp_path: Path) -> Iterator[Callable[..., Running]]:
    """Start `chatbelle --no-browser` on the data folder; what still runs at the end is killed."""
    started: list[Running] = []

    def start(*arguments: str) -> Running:
        started.append(Running(environ, tmp_path, *arguments))
        return started[-1]

    yield start
    for running in started:
        running.end(signal.SIGKILL)


@pytest.fixture
def lock(home_folder: Path) -> Path:
    return home_folder / "history" / "history.lock"


def _control(lock: Path) -> str:
    return lock.read_text().splitlines()[1]


def _ask(
    control: str,
    *,
    method: str = "POST",
    secret: str | None = None,
    body: bytes | None = None,
    **headers: str,
) -> http.client.HTTPResponse:
    """The answer to an opening of nothing; header names have underlines here."""
    parts = urlsplit(control)
    connection = http.client.HTTPConnection(parts.netloc, timeout=WAIT_S)
    fields = {name.replace("_", "-"): value for name, value in headers.items()}
    connection.request(
        method,
        secret or parts.path,
        Opening().to_json() if body is None else body,
        {"Content-Type": "application/json"} | fields,
    )
    return connection.getresponse()


def test_a_second_start_says_where_the_first_is_and_goes(
    start: Callable[..., Running], chatbelle: Run, lock: Path
) -> None:
    first = start()
    address = first.address()

    second = chatbelle("--no-browser")
    assert (second.returncode, second.stdout) == (0, f"{address}\n")
    assert second.stderr == "ChatBELLE is running already. Open in a browser:\n"
    in_chinese = chatbelle("--lang", "zh-CN", "gui", "--web", "--no-browser")
    assert in_chinese.stderr == "ChatBELLE 已在运行。请在浏览器中打开：\n"
    assert first.is_serving()
    assert lock.stat().st_mode & 0o777 == 0o600
    assert first.end() == 0


def test_the_second_start_opens_the_browser_where_there_is_a_display(
    start: Callable[..., Running], chatbelle: Run, tmp_path: Path
) -> None:
    address = start().address()
    browser = tmp_path / "browser"
    browser.write_text(f'#!/bin/sh\nprintf %s "$1" > "{tmp_path}/opened"\n')
    browser.chmod(0o755)
    environ = {"DISPLAY": ":99", "WAYLAND_DISPLAY": "", "BROWSER": f"{browser} %s"}
    second = chatbelle("--web", env=environ)
    assert second.returncode == 0, second.stderr
    assert (tmp_path / "opened").read_text() == address


def test_of_many_starts_at_once_one_serves_and_all_are_content(start: Callable[..., Running]) -> None:
    running = [start() for _ in range(10)]
    addresses = {each.address() for each in running}

    assert len(addresses) == 1
    end_s = time.monotonic() + WAIT_S
    while sum(each.is_serving() for each in running) > 1:
        assert time.monotonic() < end_s, "they do not go"
        time.sleep(0.1)
    assert sum(each.is_serving() for each in running) == 1
    assert all(each.end() == 0 for each in running)
    assert not any("Traceback" in line for each in running for line in each.said)


def test_after_the_death_of_the_first_the_next_start_is_the_first(
    start: Callable[..., Running], lock: Path
) -> None:
    first = start()
    before = first.address(), _control(lock)
    first.end(signal.SIGKILL)
    assert _control(lock) == before[1]  # the address of nobody

    second = start()
    after = second.address(), _control(lock)
    assert second.is_serving()
    assert not set(before) & set(after)
    assert second.end() == 0


def test_one_that_hangs_is_told_of_in_a_sentence(start: Callable[..., Running], chatbelle: Run) -> None:
    first = start()
    first.address()
    first.process.send_signal(signal.SIGSTOP)
    try:
        second = chatbelle("--no-browser")
    finally:
        first.process.send_signal(signal.SIGCONT)
    assert second.returncode == 1
    assert f"ChatBELLE is running already (process {first.process.pid})" in second.stderr
    assert len(second.stderr.splitlines()) == 1
    assert first.end() == 0


def test_who_does_not_know_the_secret_or_is_a_page_is_refused(
    start: Callable[..., Running], lock: Path
) -> None:
    page = start().address()
    control = _control(lock)
    origin = f"http://{urlsplit(control).netloc}"

    assert _ask(control).status == 200
    assert _ask(control, secret="/0123456789abcdef").status == 404
    assert _ask(control, secret=urlsplit(page).path).status in (404, 405)
    assert _ask(control, Origin=origin).status == 403
    assert _ask(control, Origin="http://evil.example").status == 403
    assert _ask(control, Host="evil.example").status == 403
    assert _ask(control, Content_Type="text/plain").status == 403
    assert _ask(control, method="GET").status == 405
    assert _ask(control, body=b" " * (5 << 20)).status == 413


def test_the_page_does_not_know_the_secret(start: Callable[..., Running], lock: Path) -> None:
    page = start().address()
    secret = urlsplit(_control(lock)).path.strip("/")
    parts = urlsplit(page)
    connection = http.client.HTTPConnection(parts.netloc, timeout=WAIT_S)
    for name in ("", "index.html", "main.dart.js", "flutter_bootstrap.js"):
        connection.request("GET", parts.path + name)
        assert secret.encode() not in connection.getresponse().read()


def test_without_any_standard_stream_the_app_still_runs(
    environ: dict[str, str], lock: Path, tmp_path: Path, chatbelle: Run
) -> None:
    """As from an icon: no file of ours may become the standard error, into which libraries write."""
    command = f'exec "{sys.executable}" -m app.cli --web --no-browser <&- >&- 2>&-'
    with subprocess.Popen(
        ["sh", "-c", command], env=environ | {"PYTHONPATH": str(ROOT)}, cwd=tmp_path
    ) as app:
        try:
            end_s = time.monotonic() + WAIT_S
            while not lock.exists() or read_owner(lock.parent).address is None:
                assert time.monotonic() < end_s, "it does not serve"
                time.sleep(0.1)
            second = chatbelle("--no-browser")
            assert ADDRESS.fullmatch(second.stdout.strip())
            if sys.platform == "linux":
                streams = [os.readlink(f"/proc/{app.pid}/fd/{number}") for number in range(3)]
                assert streams == [os.devnull] * 3
        finally:
            app.terminate()
        assert app.wait(WAIT_S) == 0
