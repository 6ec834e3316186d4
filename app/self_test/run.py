"""All checks in this process, one after the other, in a temporary folder that is gone afterwards.

The process keeps to this machine from then on, and is to end when it has told. A check may fail in any way:
what comes of it is a sentence.
"""

from __future__ import annotations

import logging
import shutil
import tempfile
import time
from collections.abc import Callable, Generator, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from app.home import Home
from app.i18n import EXPECTED_ERRORS, Texts
from app.self_test.bench import Bench
from app.self_test.engine_check import check_convert, check_demo, check_engine
from app.self_test.facts import collect_facts
from app.self_test.files_check import check_assets, check_fonts, check_temporary
from app.self_test.history_check import check_history
from app.self_test.page_check import check_page
from app.self_test.steps import STEP_NAMES, CheckFailed, Facts, State, StepEnded, StepStarted
from engine.loopback import LOGGER_NAME, confine

_log = logging.getLogger(__name__)
_PREFIX = "chatbelle-self-test-"

Check = Callable[[Bench], str]
"""Returns a line about what was found. Raises CheckFailed, or what the part itself raises."""


def check_network(bench: Bench) -> str:
    """Nothing asked for another machine so far."""
    if bench.refused:
        raise CheckFailed(
            bench.t("network.refused", n=len(bench.refused), hosts=tuple(dict.fromkeys(bench.refused)))
        )
    return bench.t("network.ok")


CHECKS: dict[str, Check] = {
    "temporary": check_temporary,
    "assets": check_assets,
    "fonts": check_fonts,
    "engine": check_engine,
    "demo": check_demo,
    "convert": check_convert,
    "history": check_history,
    "page": check_page,
    "network": check_network,
}

_NEED_FOLDER = ("demo", "convert", "history", "page")


def run_checks(texts: Texts, home: Home) -> Generator[Facts | StepStarted | StepEnded, None, None]:
    """The facts, then every step as it begins and ends. home: of the person, which is only looked at."""
    with _recorded_refusals() as refused, _own_folder() as folder:
        confine()
        yield collect_facts(home)
        bench = Bench(texts, folder, refused)
        has_room = False
        for name in STEP_NAMES:
            yield StepStarted(name)
            if name in _NEED_FOLDER and not has_room:
                yield StepEnded(name, "skipped", 0, bench.t("needs_temporary"))
                continue
            ended = _take(name, bench)
            has_room = has_room or (name == "temporary" and ended.state == "ok")
            yield ended


def _take(name: str, bench: Bench) -> StepEnded:
    begun = time.monotonic()

    def ended(state: State, detail: str) -> StepEnded:
        milliseconds = round((time.monotonic() - begun) * 1000)
        advice = bench.t(f"advice.{name}") if state == "failed" else ""
        return StepEnded(name, state, milliseconds, detail, advice)

    try:
        return ended("ok", CHECKS[name](bench))
    except CheckFailed as failed:
        return ended("failed", str(failed))
    except EXPECTED_ERRORS as error:
        return ended("failed", bench.texts.error(error))
    except Exception as error:
        _log.warning("self-test: %s", name, exc_info=error)
        reason = str(error).partition("\n")[0] or "?"
        return ended("failed", bench.t("unexpected", kind=type(error).__name__, reason=reason))


@contextmanager
def _own_folder() -> Iterator[Path | None]:
    """A temporary folder; None where the system has no place for one."""
    folder = None
    with suppress(OSError):
        folder = Path(tempfile.mkdtemp(prefix=_PREFIX))
    try:
        yield folder
    finally:
        if folder is not None:
            shutil.rmtree(folder, ignore_errors=True)


@contextmanager
def _recorded_refusals() -> Iterator[list[str]]:
    """What `engine.loopback` refuses meanwhile, here and in the engine's process."""
    refused: list[str] = []

    class Recorder(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            refused.append(record.getMessage())

    logger, recorder = logging.getLogger(LOGGER_NAME), Recorder()
    logger.addHandler(recorder)
    try:
        yield refused
    finally:
        logger.removeHandler(recorder)
