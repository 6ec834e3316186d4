"""What other programs leave of the processors: from counters made up here, and from this machine's own."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Iterator

import psutil
import pytest

from engine import cpu_use
from engine.cpu import usable_cpus
from engine.cpu_use import CpuTimes, OtherWork, read_cpu_times


class Machine:
    """Counters that a test turns on: four processors."""

    def __init__(self) -> None:
        self.now = 100.0
        self.times: CpuTimes | None = CpuTimes(4, 5_000.0, 30.0)
        self.other_work = OtherWork(lambda: self.now, lambda: self.times)

    def goes_on(self, seconds: float, *, idle: float, own: float) -> None:
        """`idle` and `own`: cores, on average."""
        assert self.times is not None
        self.now += seconds
        self.times = CpuTimes(4, self.times.idle_s + idle * seconds, self.times.own_s + own * seconds)


@pytest.fixture
def machine() -> Machine:
    return Machine()


@pytest.mark.parametrize(
    ("idle", "own", "spare"),
    [(4, 0, 4), (2, 2, 4), (0, 4, 4), (1, 2, 3), (0, 2.5, 2.5), (0, 0, 0), (4, 1, 4)],
)
def test_what_is_idle_or_ours_is_to_be_had(machine: Machine, idle: float, own: float, spare: float) -> None:
    machine.goes_on(0.5, idle=idle, own=own)

    assert machine.other_work.spare_cores() == pytest.approx(spare)


def test_nothing_is_said_before_there_is_something_to_say(machine: Machine) -> None:
    assert machine.other_work.spare_cores() is None
    machine.goes_on(0.1, idle=4, own=0)
    assert machine.other_work.spare_cores() is None


def test_a_short_time_leaves_the_last_answer(machine: Machine) -> None:
    machine.goes_on(1, idle=2, own=1)
    machine.other_work.spare_cores()
    machine.goes_on(0.15, idle=0, own=1)
    assert machine.other_work.spare_cores() == pytest.approx(3)
    machine.goes_on(0.15, idle=0, own=1)
    assert machine.other_work.spare_cores() == pytest.approx(1)


def test_a_long_pause_says_nothing_about_now(machine: Machine) -> None:
    machine.goes_on(600, idle=4, own=0)
    assert machine.other_work.spare_cores() is None
    machine.goes_on(0.3, idle=0, own=1)
    assert machine.other_work.spare_cores() == pytest.approx(1)


def test_a_processor_that_comes_or_goes_makes_the_counters_useless_once(machine: Machine) -> None:
    machine.now += 1
    machine.times = CpuTimes(3, 4_000.0, 30.5)
    assert machine.other_work.spare_cores() is None
    machine.now += 1
    machine.times = CpuTimes(3, 4_001.0, 31.0)
    assert machine.other_work.spare_cores() == pytest.approx(1.5)


def test_a_system_that_stops_telling_is_not_asked_again(machine: Machine) -> None:
    machine.goes_on(1, idle=2, own=1)
    machine.other_work.spare_cores()
    machine.times = None
    machine.now += 1
    assert machine.other_work.spare_cores() is None
    machine.now += 1
    assert machine.other_work.spare_cores() is None


@pytest.mark.parametrize("error", [PermissionError("/proc/stat"), RuntimeError("no cpu line")])
def test_a_system_that_does_not_tell(monkeypatch: pytest.MonkeyPatch, error: Exception) -> None:
    def refuse(**_options: bool) -> None:
        raise error

    monkeypatch.setattr(psutil, "cpu_times", refuse)

    assert read_cpu_times() is None
    assert OtherWork().spare_cores() is None


def test_without_psutil_as_on_phones(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "psutil", None)

    assert read_cpu_times() is None


def test_processors_of_others_are_not_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    if not hasattr(psutil.Process, "cpu_affinity"):
        pytest.skip("this system has no affinity")
    if len(usable_cpus()) < 2:
        pytest.skip("one processor")
    everything = read_cpu_times()
    monkeypatch.setattr(cpu_use, "usable_cpus", lambda: {0})
    one = read_cpu_times()

    assert everything is not None
    assert one is not None
    assert everything.n_cpus == len(usable_cpus())
    assert one.n_cpus == 1
    assert one.idle_s <= everything.idle_s


@pytest.fixture
def busy_neighbour() -> Iterator[None]:
    process = subprocess.Popen([sys.executable, "-c", "while True: pass"])
    yield
    process.kill()
    process.wait()


@pytest.mark.usefixtures("busy_neighbour")
def test_a_busy_process_is_seen() -> None:
    """However busy this machine is otherwise: one process more takes its share of a core."""
    n_cpus = len(usable_cpus())
    other_work, deadline = OtherWork(), time.monotonic() + 30
    spare: float | None = None
    while (spare is None or spare > n_cpus - 0.4) and time.monotonic() < deadline:
        time.sleep(0.25)
        spare = other_work.spare_cores()

    assert spare is not None
    assert 0 <= spare <= n_cpus - 0.4
