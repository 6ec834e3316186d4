"""Limits that a Linux control group (versions 2 and 1) sets on this process: containers and service managers.

Every group from the process's own up to the root may set one, and the tightest holds. Elsewhere there are
none.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

_ROOT = Path("/sys/fs/cgroup")
_OWN = Path("/proc/self/cgroup")


def cpu_quota(root: Path = _ROOT, own: Path = _OWN) -> float | None:
    """CPUs granted to this process, None without a limit."""
    quotas = [
        quota
        for group in _groups(root, own, "cpu")
        for quota in (
            _quota(_words(group / "cpu.max")),
            _quota(_words(group / "cpu.cfs_quota_us") + _words(group / "cpu.cfs_period_us")),
        )
        if quota is not None
    ]
    return min(quotas, default=None)


def available_memory(root: Path = _ROOT, own: Path = _OWN) -> int | None:
    """Bytes this process may still use, None without a limit; reclaimable file cache counts as free."""
    rests = [
        rest
        for group in _groups(root, own, "memory")
        for rest in (
            _rest(group, "memory.max", "memory.current", "inactive_file"),
            _rest(group, "memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file"),
        )
        if rest is not None
    ]
    return min(rests, default=None)


def number_after(name: str, path: Path) -> int | None:
    """The number after `name` in a file of `name value` lines such as /proc/meminfo, None without one."""
    words = _words(path)
    for word, value in zip(words, words[1:], strict=False):
        if word == name and value.isdigit():
            return int(value)
    return None


def _groups(root: Path, own: Path, controller: str) -> Iterator[Path]:
    """Folders of the groups this process is in, for both versions; some may not exist."""
    yield from (root, root / controller)
    for line in _lines(own):
        _, controllers, path = [*line.split(":", 2), "", ""][:3]
        if controllers and controller not in controllers.split(","):
            continue
        base = root / controller if controllers else root
        group = base / path.lstrip("/")
        while group != base and base in group.parents and ".." not in group.parts:
            yield group
            group = group.parent


def _quota(words: list[str]) -> float | None:
    """`quota period` in microseconds; "max" and -1 mean none."""
    if len(words) < 2 or not (words[0].isdigit() and words[1].isdigit()) or int(words[1]) == 0:
        return None
    return int(words[0]) / int(words[1])


def _rest(group: Path, limit_name: str, used_name: str, cache_name: str) -> int | None:
    limit, used = _words(group / limit_name), _words(group / used_name)
    if not (limit and limit[0].isdigit() and used and used[0].isdigit()):
        return None
    cache = number_after(cache_name, group / "memory.stat") or 0
    return max(0, int(limit[0]) - int(used[0]) + cache)


def _words(path: Path) -> list[str]:
    return " ".join(_lines(path)).split()


def _lines(path: Path) -> list[str]:
    try:
        return path.read_text().splitlines()
    except (OSError, ValueError):
        return []
