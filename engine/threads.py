"""With how many threads to compute: as many as are fastest on this machine just now.

ggml's threads wait for one another after every operation, some 30 times a layer, so that one thread which
another program keeps from its processor holds up all of them. How much is a matter of the system's scheduler.
Measured on Linux 6.18, two cores, SmolLM2-135M, beside one busy process:

    threads, and where the busy process runs                tokens/s   of it waiting
    2, in the same session as the model                        32
    2, in another session, as every program of a desktop        0.5       92 %
    1, in either                                                78

Linux shares processor time out between sessions first (autogroups; control groups do the same), and takes two
processors for evenly loaded when one has the busy process and the other has both of our threads. Those then
take turns of a whole time slice (4 ms), the one that runs waiting actively for the one that does not: each
operation costs a slice, 250 a second. Sampled over three seconds, both threads were on one processor all the
time, and 92 % of their samples in libgomp's waiting loop. llama.cpp's own programs do the same (0.3 tokens/s)
when they have a session of their own, as our worker has; started from the shell that also runs the busy
process they have not, which hid it. Two things cure it: fewer threads as soon as they are faster, here; and
short active waiting (`engine.native.waiting`), which makes the way there bearable: 29 tokens/s, not 0.5.

Evaluations are timed, nothing else is believed: how many cores others leave (`engine.cpu_use`) only says when
and where to try another number. The number can change the last bits of a sum (llama.cpp shares attention over
more than 256 tokens out among the threads): long answers are repeated bit for bit with a fixed number only.
Knows no models and no native code.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from engine.cpu_use import OtherWork

_WINDOW_S = 0.05  # of evaluations, before their pace is believed
_TRIAL_S = 0.04
_LONG_EVALUATION_S = 0.15  # which is a trial by itself; of shorter ones it takes two
_BETTER = 0.97  # of the pace before: what a trial must reach
_HOPELESS = 1.5  # of the pace before: where a trial ends at once
_SLOWED = 1.3  # of the usual pace: something has changed
_STALL_S = 0.5  # a slow window that long is no hiccup, which would be over with the next one
_MOVED_CORES = 0.4  # more or fewer for us: something has changed
_ADAPTATION = 0.2  # how fast the usual pace follows, which grows with the context
_HASTE_S, _LONGEST_WAIT_S = 0.1, 1.0  # before a trial for a reason, and before going on where it was better
_PAUSE_S, _LONGEST_PAUSE_S = 1.0, 16.0  # before a trial for no reason; all double with every failure
_TRUST = 4  # times longer while the number in use is what others leave
_MOST_LOST_S = 5.0
_TRIALS_SHARE = 1 / 25  # of the time that trials for no reason may take


@dataclass(slots=True)
class _Stretch:
    """Evaluations with one number of threads."""

    seconds: float = 0.0
    n_tokens: int = 0
    n_evaluations: int = 0

    @property
    def pace(self) -> float:
        """Seconds a token."""
        return self.seconds / self.n_tokens

    def add(self, seconds: float, n_tokens: int) -> None:
        self.seconds += seconds
        self.n_tokens += n_tokens
        self.n_evaluations += 1


@dataclass(frozen=True, slots=True)
class _Settled:
    """What a trial is measured against."""

    n_threads: int
    pace: float


class ThreadTuner:
    """Chooses the number of threads for one kind of evaluation, by how long the last ones took.

    counts: the numbers to choose from, ascending; with one alone there is nothing to choose. spare_cores: how
    many cores other programs leave, None where nobody knows. Time is counted in seconds of evaluation.
    """

    def __init__(self, counts: Sequence[int], spare_cores: Callable[[], float | None]) -> None:
        self._lowest, self._highest = counts[0], counts[-1]
        self._spare_cores = spare_cores
        self.n_threads = self._highest
        self._elapsed_s = 0.0
        self._stretch = _Stretch()
        self._usual: float | None = None
        self._spare: float = self._highest  # cores left to us when the number was chosen
        self._settled: _Settled | None = None  # during a trial
        self._lost_s = 0.0  # by the last of them
        self._direction = -1
        self._n_slow = 0  # windows in a row
        self._n_failures = 0  # of trials since the last that was better
        self._is_climbing = False  # the last trial was better, and there is further to go
        self._last_trial_end = 0.0

    def begin(self) -> None:
        """A prompt or an answer begins, maybe long after the last: start with what others leave now."""
        spare = self._spare_threads()
        if self._settled is not None:
            self.n_threads = self._settled.n_threads
            self._last_trial_end = self._elapsed_s  # or each prompt would begin it anew
        self._stretch, self._settled = _Stretch(), None
        if spare is not None and abs(spare - self._spare) > _MOVED_CORES:
            self.n_threads, self._spare = self._within(int(spare + 0.5)), spare
            self._usual, self._n_failures, self._lost_s = None, 0, 0.0

    def took(self, seconds: float, n_tokens: int) -> None:
        """An evaluation of `n_tokens` with `n_threads` took `seconds`; the next may want another number."""
        if self._lowest == self._highest:
            return
        self._elapsed_s += seconds
        self._stretch.add(seconds, n_tokens)
        if self._settled is None:
            self._watch()
        else:
            self._judge(self._settled)

    def _watch(self) -> None:
        if self._stretch.seconds < _WINDOW_S:
            return
        stretch, self._stretch = self._stretch, _Stretch()
        spare, pace = self._spare_threads(), stretch.pace
        change = self._change(pace, stretch.seconds, spare)
        if self._n_slow and not change:  # a hiccup is nothing to compare with
            return
        candidate = self._candidate(spare, stretch.seconds / stretch.n_evaluations, change)
        if candidate is not None:
            self._settled = _Settled(self.n_threads, pace)
            self.n_threads = candidate

    def _change(self, pace: float, seconds: float, spare: float | None) -> int:
        """-1 if something speaks for fewer threads now, 1 for more, 0 for neither."""
        usual = pace if self._usual is None else self._usual
        self._n_slow = self._n_slow + 1 if pace > _SLOWED * usual and self.n_threads > self._lowest else 0
        if self._n_slow:
            return -1 if self._n_slow > 1 or seconds > _STALL_S else 0
        self._usual = usual + _ADAPTATION * (pace - usual)
        if spare is None or abs(spare - self._spare) <= _MOVED_CORES:
            return 0
        target = self._within(int(spare + 0.5))
        return (target > self.n_threads) - (target < self.n_threads)

    def _candidate(self, spare: float | None, evaluation_s: float, change: int) -> int | None:
        """The number to try now, None for none. change: -1 or 1 if something speaks for fewer or more."""
        n_threads = self.n_threads
        wanted = [int(spare + 0.5)] if spare is not None else []
        doubled = 2.0 ** min(self._n_failures, 32)
        if change or self._is_climbing:
            pause_s = min(_HASTE_S * doubled, _LONGEST_WAIT_S)
            wanted.append(n_threads + (change or self._direction))
        else:
            pause_s = min(_PAUSE_S * doubled, _LONGEST_PAUSE_S if wanted else _LONGEST_WAIT_S)
            if wanted and self._within(wanted[0]) == n_threads:
                pause_s *= _TRUST
            pause_s = max(pause_s, max(evaluation_s, _TRIAL_S, self._lost_s) / _TRIALS_SHARE)
            steps = (max(1, n_threads // 4), max(1, n_threads // 2), 1)
            wanted += [
                n_threads + way * step for step in steps for way in (self._direction, -self._direction)
            ]
        others = [n for n in dict.fromkeys(map(self._within, wanted)) if n != n_threads]
        if not others or self._elapsed_s - self._last_trial_end < pause_s:
            return None
        return others[0 if change else self._n_failures % len(others)]

    def _judge(self, settled: _Settled) -> None:
        stretch = self._stretch
        is_hopeless = stretch.pace > _HOPELESS * settled.pace
        least_s = _LONG_EVALUATION_S if stretch.n_evaluations == 1 else _TRIAL_S
        if stretch.seconds < least_s and not is_hopeless:
            return
        self._stretch, self._settled = _Stretch(), None
        self._last_trial_end = self._elapsed_s
        spare = self._spare_threads()
        self._spare = self._spare if spare is None else spare
        way = 1 if self.n_threads > settled.n_threads else -1
        is_better = stretch.pace < _BETTER * settled.pace
        self._is_climbing = is_better and self._within(self.n_threads + way) != self.n_threads
        if is_better:
            self._direction, self._usual = way, stretch.pace
            self._n_failures, self._lost_s = 0, 0.0
        else:
            self._direction, self._usual = -way, settled.pace
            # At most some seconds: a machine may have slept during the trial.
            self._n_failures, self._lost_s = self._n_failures + 1, min(stretch.seconds, _MOST_LOST_S)
            self.n_threads = settled.n_threads

    def _spare_threads(self) -> float | None:
        """For how many threads others leave a core, none counted that would not be used anyway."""
        spare = self._spare_cores()
        return None if spare is None else min(spare, float(self._highest))

    def _within(self, n_threads: int) -> int:
        return min(max(n_threads, self._lowest), self._highest)


class Threads:
    """The numbers of threads to read prompts and to generate with: each has a pace of its own.

    counts: the numbers to choose from, ascending; one number alone stays.
    """

    def __init__(self, counts: Sequence[int]) -> None:
        spare_cores = OtherWork().spare_cores
        self.reading = ThreadTuner(counts, spare_cores)
        self.generating = ThreadTuner(counts, spare_cores)
