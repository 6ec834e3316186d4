"""How many processor cores other programs keep busy just now.

What all processors that this process may use were busy with, less what this process used itself. Knows no
models; `engine.threads` decides by it.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

from engine.cpu import usable_cpus

_LONGEST_WINDOW_S = 2.0  # what was before says nothing about now
_WINDOW_S = 0.2  # the systems count in steps of 4 to 16 ms: shorter windows would read noise


@dataclass(frozen=True, slots=True)
class CpuTimes:
    """Seconds counted since some moment: idle ones of all usable processors, used ones of this process."""

    n_cpus: int
    idle_s: float
    own_s: float


class OtherWork:
    """Watches the machine from its making on; cheap enough to be asked after every token."""

    def __init__(
        self,
        clock: Callable[[], float] = time.monotonic,
        read: Callable[[], CpuTimes | None] | None = None,
    ) -> None:
        self._clock = clock
        self._read = read or read_cpu_times
        self._looked_at = clock()
        self._times = self._read()
        self._spare: float | None = None

    def spare_cores(self) -> float | None:
        """Cores that other programs left to this one of late: over a fifth of a second to two seconds.

        From 0 to the number of processors, hardware threads counted like cores; None where the system does
        not tell (phones), or has not yet.
        """
        passed_s = self._clock() - self._looked_at
        if self._times is not None and passed_s >= _WINDOW_S:
            before, now = self._times, self._read()
            self._looked_at += passed_s
            self._times = now
            is_recent = passed_s < _LONGEST_WINDOW_S
            self._spare = _spare(before, now, passed_s) if now is not None and is_recent else None
        return self._spare


def read_cpu_times() -> CpuTimes | None:
    """The system's counters, None where they can't be read. Time stolen by a hypervisor counts as busy."""
    try:
        import psutil

        cpus = psutil.cpu_times(percpu=True)
    except (ImportError, OSError, RuntimeError):  # phones have no psutil; containers may hide /proc/stat
        return None
    allowed = usable_cpus()
    if len(allowed) < len(cpus):  # with processors switched off, rows have other numbers: all there are, then
        cpus = [cpu for number, cpu in enumerate(cpus) if number in allowed] or cpus
    idle_s = sum(cpu.idle + getattr(cpu, "iowait", 0.0) for cpu in cpus)
    return CpuTimes(len(cpus), idle_s, time.process_time())


def _spare(before: CpuTimes, now: CpuTimes, passed_s: float) -> float | None:
    idle_s, own_s = now.idle_s - before.idle_s, now.own_s - before.own_s
    if idle_s < 0 or now.n_cpus != before.n_cpus:  # a processor came or went
        return None
    return min(float(now.n_cpus), (idle_s + own_s) / passed_s)
