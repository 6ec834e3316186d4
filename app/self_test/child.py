"""The self-test in a process of its own, which may even crash: also that is a result.

The two sides speak in lines of JSON on the child's standard output (`write_events`, `watch`). What the child
writes into temporary files is removed with the folder that is made here.
"""

from __future__ import annotations

import json
import os
import queue
import signal
import subprocess
import sys
import tempfile
import threading
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator
from contextlib import ExitStack, suppress
from dataclasses import asdict
from typing import IO, Any

from app.i18n import Texts
from app.self_test.steps import STEP_NAMES, Facts, Report, StepEnded, StepStarted
from engine.deaths import ILLEGAL_INSTRUCTION
from engine.installation import is_bundled

NAME = "self-test"
EVENTS_OPTION = "--events"

_PATIENCE_S = 300
"""How long one step may take; an emulated processor is a hundred times slower than a real one."""

_LOOK_S = 0.2
_PATH_VARIABLE = "CHATBELLE_SELF_TEST_PATH"
_CODE = (
    "import json, os, sys; "
    f"sys.path[:] = json.loads(os.environ.pop({_PATH_VARIABLE!r})); "
    "from app.cli import main; sys.exit(main())"
)
_N_LAST_LINES = 5


class SelfTest:
    """One self-test; `events` is to be walked through once, `stop` ends it from any thread."""

    def __init__(self, texts: Texts, patience_s: float = _PATIENCE_S) -> None:
        self._texts = texts
        self._patience_s = patience_s
        self._stopped = threading.Event()
        self._temporary: str | None = None  # the child has one of its own in there

    def stop(self) -> None:
        """End the child, and `events` with a report of what was tried."""
        self._stopped.set()

    def events(self) -> Generator[StepStarted | StepEnded | Report, None, None]:
        """Every step as it begins and ends, then one Report."""
        with ExitStack() as stack:
            environment = dict(os.environ)
            with suppress(OSError):  # without one the child says what is wrong
                self._temporary = tempfile.gettempdir()
                folder = stack.enter_context(
                    tempfile.TemporaryDirectory(prefix="chatbelle-", ignore_cleanup_errors=True)
                )
                environment |= dict.fromkeys(("TMPDIR", "TEMP", "TMP"), folder)
            yield from self._watched(environment)

    def _watched(self, environment: dict[str, str]) -> Iterator[StepStarted | StepEnded | Report]:
        facts: Facts = {}
        ended: list[StepEnded] = []
        running = STEP_NAMES[0]
        try:
            child = _start(self._texts.language, environment)
        except OSError as error:
            reason = error.strerror or str(error)
            yield from self._cut_off(facts, ended, running, self._t("not_started", reason=reason))
            return
        try:
            for event in self._receive(child):
                match event:
                    case StepStarted():
                        running = event.name
                        yield event
                    case StepEnded():
                        ended.append(event)
                        yield event
                    case _:
                        facts = {**event, "temporary": self._temporary}
            child.kill()
            why = self._why_it_ended(child.process.wait(), child.last_lines)
        finally:
            child.close()
        if len(ended) == len(STEP_NAMES):
            yield Report(facts, tuple(ended))
        else:
            yield from self._cut_off(facts, ended, running, why)

    def _receive(self, child: _Child) -> Iterator[Facts | StepStarted | StepEnded]:
        waited_s = 0.0
        while not self._stopped.is_set():
            try:
                line = child.lines.get(timeout=_LOOK_S)
            except queue.Empty:
                waited_s += _LOOK_S
                if waited_s >= self._patience_s:
                    self.stop()
                continue
            if line is None:
                return
            event = _read_event(line)
            if event is not None:
                waited_s = 0.0
                yield event

    def _cut_off(
        self, facts: Facts, ended: list[StepEnded], running: str, why: str
    ) -> Iterator[StepEnded | Report]:
        """The step it stopped at failed, what would have come after it was not reached."""
        known = {step.name for step in ended}
        if running not in known:
            ended.append(StepEnded(running, "failed", 0, why, self._t(f"advice.{running}")))
            yield ended[-1]
        for name in STEP_NAMES:
            if name not in known and name != running:
                ended.append(StepEnded(name, "skipped", 0, self._t("not_reached")))
                yield ended[-1]
        yield Report(facts, tuple(ended))

    def _why_it_ended(self, code: int, last_lines: Iterable[str]) -> str:
        if self._stopped.is_set():
            return self._t("stopped")
        if code in ILLEGAL_INSTRUCTION:
            return self._t("illegal_instruction")
        last = next(iter(reversed(list(last_lines))), "").rstrip(".。")
        return self._t("died_saying" if last else "died", code=_exit_text(code), last=last)

    def _t(self, key: str, **values: Any) -> str:
        return self._texts.text(f"self-test.{key}", **values)


def write_events(events: Iterable[Facts | StepStarted | StepEnded], write: Callable[[str], None]) -> bool:
    """Write one line for each event; returns whether no step failed."""
    is_ok = True
    for event in events:
        match event:
            case StepStarted():
                document: dict[str, Any] = {"event": "started", **asdict(event)}
            case StepEnded():
                document = {"event": "ended", **asdict(event)}
                is_ok = is_ok and event.state != "failed"
            case _:
                document = {"event": "facts", "facts": event}
        write(json.dumps(document) + "\n")
    return is_ok


def _read_event(line: bytes) -> Facts | StepStarted | StepEnded | None:
    """None for a line that is none: a library may have printed it."""
    try:
        document = json.loads(line)
    except ValueError:
        return None
    kind = document.pop("event", None) if isinstance(document, dict) else None
    match kind:
        case "facts":
            facts: Facts = document["facts"]
            return facts
        case "started":
            return StepStarted(**document)
        case "ended":
            return StepEnded(**document)
    return None


class _Child:
    """The process, its lines, and what it said last on standard error."""

    def __init__(self, process: subprocess.Popen[bytes]) -> None:
        self.process = process
        self.lines: queue.SimpleQueue[bytes | None] = queue.SimpleQueue()
        self.last_lines: deque[str] = deque(maxlen=_N_LAST_LINES)
        assert process.stdout is not None
        assert process.stderr is not None
        self._readers = [
            threading.Thread(target=self._read, args=(process.stdout,), daemon=True),
            threading.Thread(target=self._read_errors, args=(process.stderr,), daemon=True),
        ]
        for reader in self._readers:
            reader.start()

    def kill(self) -> None:
        """End it, unless it has ended by itself: its standard output may close a moment before."""
        with suppress(subprocess.TimeoutExpired):
            self.process.wait(_LOOK_S)
        self.process.kill()

    def close(self) -> None:
        """No process and no thread is left."""
        self.process.kill()
        self.process.wait()
        for reader in self._readers:
            reader.join()

    def _read(self, pipe: IO[bytes]) -> None:
        with pipe:
            for line in pipe:
                self.lines.put(line)
        self.lines.put(None)

    def _read_errors(self, pipe: IO[bytes]) -> None:
        with pipe:
            for line in pipe:
                text = line.decode("utf-8", "replace").strip()
                if text:
                    self.last_lines.append(text)


def _start(language: str, environment: dict[str, str]) -> _Child:
    command = [sys.executable] if is_bundled() else [sys.executable, "-P", "-c", _CODE]
    # A bundle finds its own modules; another Python is told where ours are, however it was started.
    path = [os.path.abspath(entry) if entry == "" else entry for entry in sys.path]
    options: dict[str, Any] = {"start_new_session": True}
    if sys.platform == "win32":
        options = {"creationflags": subprocess.CREATE_NO_WINDOW | subprocess.CREATE_NEW_PROCESS_GROUP}
    process = subprocess.Popen(
        [*command, NAME, EVENTS_OPTION, "--lang", language],
        env={**environment, _PATH_VARIABLE: json.dumps(path)},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        **options,
    )
    return _Child(process)


def _exit_text(code: int) -> str:
    if code >= 0:
        return str(code)
    try:
        return signal.Signals(-code).name
    except ValueError:
        return f"signal {-code}"
