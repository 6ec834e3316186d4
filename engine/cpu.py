"""How many threads the engine computes with at most: one for each physical performance core it may use.

Efficiency cores and second hardware threads slow generation down, since every thread waits for the slowest
at each step. Knows operating systems, nothing about models.
"""

from __future__ import annotations

import math
import os
import sys
from collections.abc import Iterable
from pathlib import Path

from engine import cgroup, darwin

_SYSFS = Path("/sys/devices")
_BIG_CORE_CAPACITY = 0.6  # of the fastest core's `cpu_capacity`: big and middle cores of a phone


def performance_cores() -> int:
    """Number of physical performance cores this process may use, at least 1; OMP_NUM_THREADS lowers it."""
    usable = usable_cpus()
    if sys.platform == "darwin" or sys.platform == "ios":
        cores = _darwin_cores()
    elif sys.platform == "win32":
        cores = _psutil_cores()
    else:
        cores = linux_cores(usable, _SYSFS)
    limits = [cores or len(usable) or 1, len(usable) or 1]
    wanted = os.environ.get("OMP_NUM_THREADS", "").split(",")[0].strip()
    if wanted.isdecimal() and int(wanted) > 0:
        limits.append(int(wanted))
    quota = cgroup.cpu_quota()
    if quota is not None:
        limits.append(math.ceil(quota))
    return max(1, min(limits))


def usable_cpus() -> set[int]:
    """Numbers of the processors (hardware threads) that this process may run on."""
    if sys.platform != "win32" and sys.platform != "darwin" and hasattr(os, "sched_getaffinity"):
        return set(os.sched_getaffinity(0))
    return set(range(os.cpu_count() or 1))


def linux_cores(usable: set[int], sysfs: Path) -> int | None:
    """Physical cores among `usable`, of the fast kind if there are several; None where sysfs is silent."""
    fast = usable & (_hybrid_fast_cpus(sysfs) or _big_cpus(usable, sysfs) or usable)
    siblings = {cpu: _read(sysfs / f"system/cpu/cpu{cpu}/topology/core_cpus_list") for cpu in fast or usable}
    if any(value is None for value in siblings.values()):
        return None
    return len(set(siblings.values()))


def _hybrid_fast_cpus(sysfs: Path) -> set[int]:
    """Intel hybrid processors list their performance cores; empty elsewhere."""
    return set(_parse_cpu_list(_read(sysfs / "cpu_core/cpus") or ""))


def _big_cpus(usable: Iterable[int], sysfs: Path) -> set[int]:
    """Arm processors give each core a relative capacity; empty elsewhere."""
    capacities = {cpu: _read(sysfs / f"system/cpu/cpu{cpu}/cpu_capacity") for cpu in usable}
    known = {cpu: int(value) for cpu, value in capacities.items() if value is not None and value.isdigit()}
    fastest = max(known.values(), default=0)
    return {cpu for cpu, capacity in known.items() if capacity >= _BIG_CORE_CAPACITY * fastest}


def _parse_cpu_list(text: str) -> Iterable[int]:
    """Numbers of a kernel list such as `0-3,8`; nothing for text that is none."""
    for part in filter(None, text.split(",")):
        first, _, last = part.partition("-")
        if first.isdigit() and (last or first).isdigit():
            yield from range(int(first), int(last or first) + 1)


def _darwin_cores() -> int | None:
    return darwin.sysctl("hw.perflevel0.physicalcpu") or darwin.sysctl("hw.physicalcpu")


def _psutil_cores() -> int | None:
    try:
        import psutil
    except ImportError:
        return None
    return psutil.cpu_count(logical=False)


def _read(path: Path) -> str | None:
    try:
        return path.read_text().strip()
    except (OSError, ValueError):
        return None
