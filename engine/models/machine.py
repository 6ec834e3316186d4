"""What this machine offers a model: memory, cores, and roughly how fast it reads memory.

Knows no model. Nothing is measured: bandwidth is a class that the kind of processor falls into, good enough
for "well" or "slowly" and for nothing finer.
"""

from __future__ import annotations

import platform
import sys
from dataclasses import dataclass

from engine.cpu import performance_cores
from engine.installation import is_phone
from engine.memory import available_bytes, total_bytes

_GB = 1_000_000_000
# Usable bytes a second: of one core, and of the whole processor however many cores read.
_BANDWIDTHS = {"apple": (40 * _GB, 90 * _GB), "phone": (8 * _GB, 20 * _GB), "desktop": (10 * _GB, 35 * _GB)}
# What Metal lets a program use (recommendedMaxWorkingSetSize): two thirds, of larger memories three quarters.
_LARGE_UNIFIED_BYTES = 36 << 30


@dataclass(frozen=True, slots=True)
class Machine:
    """Sizes in bytes, None where the system does not tell.

    available_bytes: without swapping, now. gpu_bytes: the most that a graphics processor may use of memory it
    shares with the CPU; None without one. bandwidth: bytes a second that computing can read.
    """

    total_bytes: int | None
    available_bytes: int | None
    n_cores: int
    gpu_bytes: int | None
    bandwidth: int


def look_at_machine() -> Machine:
    """This machine as it is now."""
    total = total_bytes()
    n_cores = performance_cores()
    kind = _kind()
    of_core, of_all = _BANDWIDTHS[kind]
    return Machine(
        total_bytes=total,
        available_bytes=available_bytes(),
        n_cores=n_cores,
        gpu_bytes=_unified_limit(total) if kind == "apple" and total is not None else None,
        bandwidth=min(n_cores * of_core, of_all),
    )


def _kind() -> str:
    if is_phone():
        return "phone"
    is_arm = platform.machine().lower() in ("arm64", "aarch64")
    return "apple" if sys.platform == "darwin" and is_arm else "desktop"


def _unified_limit(total: int) -> int:
    return total * 2 // 3 if total <= _LARGE_UNIFIED_BYTES else total * 3 // 4
