"""When a source is asked again, and when it is given up; the clock is the test's own."""

from __future__ import annotations

import os
import random
from pathlib import Path
from threading import Event

import pytest

from builders.hub import Fault, LocalHub
from engine.models.download import Downloaded, DownloadProgress, download
from engine.models.endpoints import Endpoints, RemoteFile
from engine.models.failover import Failover, Source
from engine.models.fetch_errors import FetchError, Offline, SourcesFailed
from engine.models.ranges import ReadAhead
from engine.models.reply import AttemptFailed, Patience

FIRST, SECOND = "https://first.example/a", "https://second.example/a"
PATIENCE = Patience(n_failures=4, backoff_s=1, outage_s=200)
UNREACHABLE, BROKEN = AttemptFailed("unreachable", "no route"), AttemptFailed("broken", "HTTP 500")
IMPATIENT = Patience(connect_s=2, stall_s=2, n_failures=2, backoff_s=0.01)
DATA = random.Random(4).randbytes(9_500_000)


@pytest.fixture(autouse=True)
def _nothing_known(monkeypatch: pytest.MonkeyPatch) -> None:
    """What other tests found out of reach."""
    monkeypatch.setattr("engine.models.failover._unreachable", {})


class Clock:
    """Seconds that pass when somebody waits, as a `Stop` that is never set."""

    def __init__(self) -> None:
        self.now_s = 1000.0

    def __call__(self) -> float:
        return self.now_s

    def is_set(self) -> bool:
        return False

    def wait(self, timeout: float) -> None:
        self.now_s += timeout + 0.001


def picked(failover: Failover, clock: Clock) -> Source:
    source = failover.pick(clock)
    assert source is not None
    return source


def fail_until_given_up(
    failover: Failover, clock: Clock, *failures: AttemptFailed
) -> tuple[FetchError, float]:
    """The error after these failures, over and over, and how many seconds passed."""
    began_s = clock.now_s
    while True:
        for failure in failures:
            try:
                source = picked(failover, clock)
            except FetchError as error:
                return error, clock.now_s - began_s
            failover.failed(source, failure, clock.now_s)


def test_a_source_that_never_worked_is_given_up_at_once() -> None:
    clock = Clock()
    error, waited_s = fail_until_given_up(Failover("a", [FIRST], PATIENCE, clock=clock), clock, UNREACHABLE)
    assert isinstance(error, Offline)
    assert waited_s == 0


def test_a_source_that_worked_may_be_out_of_reach_for_minutes() -> None:
    clock = Clock()
    failover = Failover("a", [FIRST], PATIENCE, clock=clock)
    failover.succeeded(picked(failover, clock))
    error, waited_s = fail_until_given_up(failover, clock, UNREACHABLE)
    assert isinstance(error, Offline)
    assert 200 <= waited_s < 220


def test_it_goes_on_after_the_outage_as_if_nothing_had_been() -> None:
    clock = Clock()
    failover = Failover("a", [FIRST], PATIENCE, clock=clock)
    for _ in range(3):
        failover.succeeded(picked(failover, clock))
        for _ in range(12):
            failover.failed(picked(failover, clock), UNREACHABLE, clock.now_s)
        assert 0 < failover.waiting_s() <= 15
    # What fails at first is asked as often as ever.
    for _ in range(PATIENCE.n_failures - 1):
        failover.failed(picked(failover, clock), BROKEN, clock.now_s)
    failover.succeeded(picked(failover, clock))


@pytest.mark.parametrize("failures", [[BROKEN], [UNREACHABLE, BROKEN]])
def test_what_fails_although_it_is_reached_is_given_up_sooner(failures: list[AttemptFailed]) -> None:
    clock = Clock()
    failover = Failover("a", [FIRST], PATIENCE, clock=clock)
    failover.succeeded(picked(failover, clock))
    error, waited_s = fail_until_given_up(failover, clock, *failures)
    assert isinstance(error, SourcesFailed)
    assert waited_s < 100


def test_an_outage_begins_when_the_source_is_out_of_reach_not_when_it_is_busy() -> None:
    clock = Clock()
    failover = Failover("a", [FIRST], PATIENCE, clock=clock)
    failover.succeeded(picked(failover, clock))
    for _ in range(2):
        failover.failed(picked(failover, clock), UNREACHABLE, clock.now_s)
        failover.failed(picked(failover, clock), AttemptFailed("busy", "HTTP 429", 190.0), clock.now_s)
    error, waited_s = fail_until_given_up(failover, clock, UNREACHABLE)
    assert isinstance(error, Offline)
    assert waited_s - 190 >= 200


def test_while_there_is_another_source_nobody_waits_for_one() -> None:
    clock = Clock()
    failover = Failover("a", [FIRST, SECOND], PATIENCE, clock=clock)
    failover.succeeded(picked(failover, clock))
    n_failed = 0
    while n_failed < PATIENCE.n_failures:
        source = picked(failover, clock)
        if source.url == FIRST:
            failover.failed(source, UNREACHABLE, clock.now_s)
            n_failed += 1
        else:
            failover.succeeded(source)
            clock.wait(1)
    clock.wait(60)
    assert picked(failover, clock).url == SECOND
    # And the last one is waited for.
    error, waited_s = fail_until_given_up(failover, clock, UNREACHABLE)
    assert isinstance(error, Offline)
    assert waited_s >= 200


def test_what_worked_for_one_file_counts_for_the_next_of_the_job() -> None:
    clock = Clock()
    reached: set[str] = set()
    one, other = (Failover(name, [FIRST], PATIENCE, reached, clock) for name in "ab")
    one.succeeded(picked(one, clock))
    _, waited_s = fail_until_given_up(other, clock, UNREACHABLE)
    assert waited_s >= 200


def test_a_wait_ends_when_it_is_stopped() -> None:
    failover = Failover("a", [FIRST], Patience(backoff_s=15), {"first.example"})
    stop = Event()
    source = failover.pick(stop)
    assert source is not None
    failover.failed(source, UNREACHABLE, float("inf"))
    assert failover.waiting_s() > 0
    stop.set()
    assert failover.pick(stop) is None


@pytest.fixture
def failures(hub: LocalHub, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The kinds of all failures; at the eighth that the hub is out of reach it comes back."""
    failed = Failover.failed
    kinds: list[str] = []

    def note(self: Failover, source: Source, failure: AttemptFailed, started_s: float) -> None:
        failed(self, source, failure, started_s)
        kinds.append(failure.kind)
        if failure.kind == "unreachable" and kinds.count("unreachable") == 8:
            hub.reopen()

    monkeypatch.setattr(Failover, "failed", note)
    return kinds


def test_a_download_outlasts_an_outage(hub: LocalHub, tmp_path: Path, failures: list[str]) -> None:
    """Longer than the failures that a source may have in a row."""
    entry = hub.add("o/r", "m.gguf", DATA)
    file = RemoteFile("o/r", hub.commit, "m.gguf", entry.size_bytes, entry.hash)
    hub.fault = lambda seen: Fault(bytes_per_s=2_000_000) if seen.server == "lfs" else None
    is_gone = False
    for event in download(file, tmp_path / "a", Endpoints((hub.url,)), patience=IMPATIENT):
        if isinstance(event, DownloadProgress) and event.done_bytes > 1_000_000 and not is_gone:
            is_gone = True
            hub.fault = lambda seen: None
            hub.close()
    assert isinstance(event, Downloaded)
    assert (tmp_path / "a").read_bytes() == DATA
    assert failures.count("unreachable") >= 8


def test_a_conversion_outlasts_an_outage_between_two_files(hub: LocalHub, failures: list[str]) -> None:
    entries = [hub.add("o/r", name, os.urandom(1000)) for name in ("a", "b")]
    files = [RemoteFile("o/r", hub.commit, entry.name, 1000, entry.hash) for entry in entries]
    with ReadAhead(files, Endpoints((hub.url,)), IMPATIENT) as ahead:
        assert ahead.read_at("a", 0, 1000) == entries[0].data
        hub.close()
        assert ahead.read_at("b", 0, 1000) == entries[1].data
    assert failures.count("unreachable") == 8
