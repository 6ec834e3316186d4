"""Which source to ask next: in order, away from those that fail, back to them when they had time to recover.

Knows when sources failed, not what they are asked.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from threading import Lock
from typing import Protocol

from engine.models.endpoints import host_of
from engine.models.fetch_errors import (
    FetchError,
    HubRefused,
    HubTooBusy,
    NetworkForbidden,
    NetworkSettingInvalid,
    NotOnHub,
    Offline,
    PageInstead,
    RangesNotServed,
    SourceContradicts,
    SourcesFailed,
)
from engine.models.reply import AttemptFailed, Patience

_FINAL = ("refused", "missing", "contradicts", "page", "rangeless", "unusable")
_LONGEST_BACKOFF_S = 15.0
# A hub behind a wall takes the whole connection timeout to say nothing: that is asked of a person once, not
# for every file. Monotonic seconds by host.
_UNREACHABLE_S = 120.0
_unreachable: dict[str, float] = {}


class Stop(Protocol):
    """What a wait ends at: a `threading.Event`, for example."""

    def is_set(self) -> bool: ...

    def wait(self, timeout: float) -> object:
        """At most `timeout` seconds, less when it is set meanwhile."""


@dataclass
class Source:
    """One address of a file and how it fared. rejected: why it is not asked again.

    n_attempts: that failed since it worked; n_failures: those of them that count. unreachable_since_s: when
    it was first found out of reach, None once it answered anything.
    """

    url: str
    n_attempts: int = 0
    n_failures: int = 0
    unreachable_since_s: float | None = None
    failed_s: float = 0.0
    blocked_until_s: float = 0.0
    rejected: AttemptFailed | None = None

    @property
    def host(self) -> str:
        return host_of(self.url)


@dataclass
class Failover:
    """The sources of one thing, `name`, which errors are about; for any number of threads.

    reached: the hosts that bytes came from, which things of one job share: what has worked a moment ago is
    out of reach for a while, and nothing to give up for. clock: monotonic seconds.
    """

    name: str
    urls: Sequence[str]
    patience: Patience
    reached: set[str] = field(default_factory=set)
    clock: Callable[[], float] = time.monotonic
    _sources: list[Source] = field(init=False)
    _lock: Lock = field(default_factory=Lock)

    def __post_init__(self) -> None:
        now_s = self.clock()
        self._sources = [Source(url) for url in self.urls]
        self._sources.sort(key=lambda source: now_s - _unreachable.get(source.host, -1e9) < _UNREACHABLE_S)

    def pick(self, stop: Stop) -> Source | None:
        """The first source that may be asked now, waiting for one if need be; None when `stop` was set.

        Raises a `FetchError` when none is left.
        """
        while not stop.is_set():
            with self._lock:
                left = [source for source in self._sources if source.rejected is None]
                if not left:
                    raise self._final_error()
                wait_s = min(source.blocked_until_s for source in left) - self.clock()
                if wait_s <= 0:
                    return next(source for source in left if source.blocked_until_s <= self.clock())
            stop.wait(min(wait_s, 0.5))
        return None

    def waiting_s(self) -> float:
        """How long until some source may be asked again; 0.0 where one may now."""
        with self._lock:
            left = [source.blocked_until_s for source in self._sources if source.rejected is None]
            return max(0.0, min(left) - self.clock()) if left else 0.0

    def next_host(self) -> str:
        """The host that is asked next; "" where none is left."""
        with self._lock:
            left = [source for source in self._sources if source.rejected is None]
            return min(left, key=lambda source: source.blocked_until_s).host if left else ""

    def succeeded(self, source: Source) -> None:
        """Bytes came from it."""
        with self._lock:
            self.reached.add(source.host)
            _unreachable.pop(source.host, None)
            source.n_attempts = source.n_failures = 0
            source.unreachable_since_s = None

    def failed(self, source: Source, failure: AttemptFailed, started_s: float) -> None:
        """An attempt that began at `started_s` failed; several at once count as one failure."""
        with self._lock:
            if failure.kind in _FINAL:
                source.rejected = failure
                return
            if started_s < source.failed_s:
                return
            source.failed_s = self.clock()
            if failure.kind == "unreachable":
                _unreachable[source.host] = source.failed_s
            wait_s = min(_LONGEST_BACKOFF_S, self.patience.backoff_s * 2 ** min(source.n_attempts, 16))
            if failure.retry_after_s is not None:
                wait_s = failure.retry_after_s
            source.n_attempts += 1
            source.blocked_until_s = source.failed_s + wait_s
            if self._gives_up(source, failure) or wait_s > self.patience.longest_wait_s:
                source.rejected = failure

    def _gives_up(self, source: Source, failure: AttemptFailed) -> bool:
        """A machine without a network must hear so at once; one that loses it may get it back."""
        if failure.kind != "unreachable":
            source.unreachable_since_s = None
        else:
            if source.unreachable_since_s is None:
                source.unreachable_since_s = source.failed_s
            if source.host not in self.reached:
                return True
            others = [other for other in self._sources if other is not source and other.rejected is None]
            if not others:
                return source.failed_s - source.unreachable_since_s >= self.patience.outage_s
        source.n_failures += 1
        return source.n_failures >= self.patience.n_failures

    def distrust(self, hosts: set[str]) -> None:
        """Leave out these hosts, unless no other source would remain."""
        with self._lock:
            left = [source for source in self._sources if source.rejected is None]
            if all(source.host in hosts for source in left):
                return
            for source in left:
                if source.host in hosts:
                    source.rejected = AttemptFailed("contradicts", "its bytes have another hash")

    def _final_error(self) -> FetchError:
        """What the first source said that was reached at all; one that has worked before says most."""
        if not self._sources:
            return NetworkForbidden(self.name)
        asked = [source for source in self._sources if source.host in self.reached] or self._sources
        reached = [source for source in asked if not _is_unreachable(source)]
        if not reached:
            first = asked[0].rejected
            hosts = tuple(dict.fromkeys(source.host for source in asked))
            return Offline(self.name, first.reason if first else "no reason known", hosts)
        source = reached[0]
        failure = source.rejected or AttemptFailed("broken", "no reason known")
        if failure.kind == "unusable":
            return NetworkSettingInvalid(self.name, failure.reason)
        if failure.kind == "refused":
            return HubRefused(self.name, source.host)
        if failure.kind == "missing":
            return NotOnHub(self.name, source.host)
        if failure.kind == "contradicts":
            return SourceContradicts(self.name, source.host, failure.reason)
        if failure.kind == "page":
            return PageInstead(self.name, source.host)
        if failure.kind == "rangeless":
            return RangesNotServed(self.name, source.host)
        if failure.kind == "busy":
            return HubTooBusy(self.name, source.host, round(failure.retry_after_s or 0))
        return SourcesFailed(self.name, source.host, failure.reason)


def _is_unreachable(source: Source) -> bool:
    return source.rejected is not None and source.rejected.kind == "unreachable"
