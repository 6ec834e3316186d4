"""The number of threads follows the machine: simulated ones, since no test may depend on this one's load.

What is simulated: how long an evaluation takes with so many threads beside so much other work, and what the
system says about it. The figures behind it are measured by tests/benchmarks/busy_benchmark.py.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass, field

import pytest

from engine.cpu_use import CpuTimes, OtherWork
from engine.threads import ThreadTuner

TOKEN_S = {"135M": 0.0125, "7B": 0.19}  # with one thread


@dataclass
class Machine:
    """`busy` says how many busy threads others have at a time; `speeds` how fast each of the cores is.

    stall: how many times longer it takes when two of our threads share a core. is_nice: others give way.
    memory_threads: how many threads use up the memory's bandwidth. barriers_s: what each
    thread adds to a token. is_silent: nobody tells what others do.
    """

    speeds: tuple[float, ...] = (1.0, 1.0)
    busy: Callable[[float], float] = lambda _now: 0.0
    token_s: float = TOKEN_S["135M"]
    stall: float = 3.0
    is_nice: bool = False
    memory_threads: int = 99
    is_silent: bool = False
    noise: float = 0.03
    barriers_s: float = 0.000005
    now: float = 0.0
    own_s: float = 0.0
    idle_s: float = 0.0
    random: random.Random = field(default_factory=lambda: random.Random(1))

    def pace(self, n_threads: int) -> float:
        """Seconds a token, the slowest thread deciding."""
        others = 0.0 if self.is_nice else self.busy(self.now)
        n_together = min(n_threads, self.memory_threads)
        seconds = self.token_s / (n_together * min(self.speeds[:n_threads])) + self.barriers_s * (
            n_threads - 1
        )
        excess = n_threads + others - len(self.speeds)
        if excess > 0:
            # One thread only shares its core; several wait for the one that does.
            seconds *= 1 + excess * (self.stall - 1) if n_threads > 1 else 1 + excess / 2
        return seconds

    def evaluate(self, n_threads: int, n_tokens: int = 1) -> float:
        """Let time pass; returns the seconds that it took."""
        seconds = n_tokens * self.pace(n_threads) * self.random.uniform(1 - self.noise, 1 + self.noise)
        n_cores, others = len(self.speeds), self.busy(self.now)
        wanted = n_threads + others
        own = n_threads if self.is_nice or wanted <= n_cores else n_cores * n_threads / wanted
        self.own_s += own * seconds
        self.idle_s += max(0.0, n_cores - own - others) * seconds
        self.now += seconds
        return seconds

    def read(self) -> CpuTimes | None:
        return None if self.is_silent else CpuTimes(len(self.speeds), self.idle_s, self.own_s)

    def best(self, most: int) -> int:
        """The number of threads that is fastest at this moment."""
        return min(range(1, most + 1), key=self.pace)


@dataclass
class Run:
    n_tokens: int
    counts: list[tuple[float, int]]
    """When which number was used."""

    def settled(self, n_threads: int, since_s: float, until_s: float) -> float:
        """Share of the evaluations in a time that used `n_threads`."""
        used = [n for when, n in self.counts if since_s <= when < until_s]
        return sum(n == n_threads for n in used) / len(used)


def follow(machine: Machine, seconds: float, most: int | None = None, n_tokens: int = 1) -> Run:
    tuner = ThreadTuner(
        range(1, (most or len(machine.speeds)) + 1),
        OtherWork(lambda: machine.now, machine.read).spare_cores,
    )
    run = Run(0, [])
    while machine.now < seconds:
        run.counts.append((machine.now, tuner.n_threads))
        tuner.took(machine.evaluate(tuner.n_threads, n_tokens), n_tokens)
        run.n_tokens += n_tokens
    return run


def best_fixed(machine: Machine, seconds: float, most: int | None = None) -> float:
    """Tokens that the best fixed number of threads makes in that time."""
    results = []
    for n_threads in range(1, (most or len(machine.speeds)) + 1):
        machine.now, n_tokens = 0.0, 0
        while machine.now < seconds:
            machine.evaluate(n_threads)
            n_tokens += 1
        results.append(n_tokens)
    machine.now = machine.own_s = machine.idle_s = 0.0
    return max(results)


def after(moment_s: float, n_busy: float) -> Callable[[float], float]:
    return lambda now: n_busy if now >= moment_s else 0.0


def until(moment_s: float, n_busy: float) -> Callable[[float], float]:
    return lambda now: n_busy if now < moment_s else 0.0


EQUAL = {n: (1.0,) * n for n in (2, 4, 8, 16)}


@pytest.mark.parametrize("n_cores", EQUAL)
@pytest.mark.parametrize("size", TOKEN_S)
def test_an_idle_machine_is_used_whole(n_cores: int, size: str) -> None:
    machine = Machine(EQUAL[n_cores], token_s=TOKEN_S[size])
    expected = best_fixed(machine, 20)

    assert follow(machine, 20).n_tokens >= 0.97 * expected


@pytest.mark.parametrize("n_busy", [1, 2])
@pytest.mark.parametrize("n_cores", EQUAL)
@pytest.mark.parametrize("size", TOKEN_S)
def test_beside_busy_processes_it_is_as_fast_as_the_best_fixed_number(
    n_cores: int, size: str, n_busy: int
) -> None:
    machine = Machine(EQUAL[n_cores], after(0, n_busy), TOKEN_S[size])
    expected = best_fixed(machine, 20)

    assert follow(machine, 20).n_tokens >= 0.93 * expected


@pytest.mark.parametrize("n_cores", EQUAL)
def test_it_goes_down_within_a_second_of_other_work(n_cores: int) -> None:
    machine = Machine(EQUAL[n_cores], after(5, 1))

    run = follow(machine, 10)

    assert run.settled(n_cores, 4, 5) > 0.9
    assert run.settled(n_cores - 1, 6, 10) > 0.85


@pytest.mark.parametrize("n_cores", EQUAL)
def test_it_comes_back_within_a_second_of_the_end(n_cores: int) -> None:
    machine = Machine(EQUAL[n_cores], until(5, 1))

    run = follow(machine, 10)

    assert run.settled(n_cores - 1, 2, 5) > 0.85
    assert run.settled(n_cores, 6, 10) > 0.85


def test_a_7b_follows_within_two_seconds() -> None:
    down = follow(Machine(busy=after(5, 1), token_s=TOKEN_S["7B"]), 12)
    up = follow(Machine(busy=until(5, 1), token_s=TOKEN_S["7B"]), 12)

    assert down.settled(1, 6.5, 12) > 0.9
    assert up.settled(2, 6.5, 12) > 0.9


@pytest.mark.parametrize("n_busy", [0, 0.3, 1])
def test_it_does_not_flap(n_busy: float) -> None:
    machine = Machine(EQUAL[8], after(0, n_busy), noise=0.15)

    run = follow(machine, 60)

    numbers = [n for when, n in run.counts if when > 5]
    changes = sum(one != other for one, other in zip(numbers, numbers[1:], strict=False))
    assert changes < 0.02 * len(numbers)


def test_where_nobody_tells_what_others_do_it_still_follows() -> None:
    machine = Machine(busy=lambda now: 1.0 if 5 <= now < 10 else 0.0, is_silent=True)

    run = follow(machine, 15)

    assert run.settled(2, 2, 5) > 0.9
    assert run.settled(1, 6, 10) > 0.85
    assert run.settled(2, 11.2, 15) > 0.85


def test_one_thread_that_became_slower_is_no_trap() -> None:
    machine = Machine(busy=lambda now: 1.0 if 5 <= now < 10 else 0.0, is_silent=True)
    tuner = ThreadTuner(range(1, 3), lambda: None)
    is_longer = False
    while machine.now < 15:
        if machine.now > 7 and not is_longer:  # another conversation, with far more to look back at
            machine.token_s *= 1.6
            is_longer = True
        tuner.took(machine.evaluate(tuner.n_threads), 1)

    assert tuner.n_threads == 2


def test_others_that_give_way_are_no_reason_to_give_way() -> None:
    machine = Machine(EQUAL[4], after(5, 4), is_nice=True)

    run = follow(machine, 15)

    assert run.settled(4, 7, 15) > 0.85


def test_fewer_threads_where_the_slow_cores_only_hold_up_the_fast_ones() -> None:
    machine = Machine((1.0,) * 4 + (0.3,) * 4)
    expected = best_fixed(machine, 60)

    run = follow(machine, 60)

    assert machine.best(8) == 4
    assert run.settled(4, 20, 60) > 0.9
    assert run.n_tokens > 0.85 * expected


def test_a_waiting_loop_without_end_costs_seconds_not_the_answer() -> None:
    machine = Machine(busy=after(5, 1), stall=150)

    run = follow(machine, 25)

    assert run.settled(1, 9, 25) > 0.9


def test_a_growing_context_is_no_reason_to_change() -> None:
    machine = Machine(EQUAL[4])
    tuner = ThreadTuner(range(1, 5), OtherWork(lambda: machine.now, machine.read).spare_cores)
    numbers = []
    while machine.now < 20:
        machine.token_s *= 1.001
        numbers.append(tuner.n_threads)
        tuner.took(machine.evaluate(tuner.n_threads), 1)

    assert numbers.count(4) > 0.95 * len(numbers)


def test_one_number_is_never_left() -> None:
    tuner = ThreadTuner((3,), lambda: 0.0)
    for seconds in (0.1, 0.1, 5.0, 5.0, 5.0):
        tuner.took(seconds, 1)

    assert tuner.n_threads == 3


def test_batches_of_a_prompt_are_compared_by_the_token() -> None:
    machine = Machine(busy=after(5, 1), token_s=0.008)
    run = follow(machine, 15, n_tokens=64)

    assert run.settled(2, 3, 5) == 1
    assert run.settled(1, 6.5, 15) > 0.85


def test_an_answer_begins_with_what_others_leave_by_then() -> None:
    machine = Machine(EQUAL[4], until(5, 2))
    spare_cores = OtherWork(lambda: machine.now, machine.read).spare_cores
    tuner = ThreadTuner(range(1, 5), spare_cores)
    while machine.now < 5:
        tuner.took(machine.evaluate(tuner.n_threads), 1)
    assert tuner.n_threads == 2

    machine.now, machine.idle_s = machine.now + 1, machine.idle_s + 4
    tuner.begin()

    assert tuner.n_threads == 4


def test_an_answer_that_ends_during_a_trial_leaves_the_number_that_was_proved() -> None:
    tuner = ThreadTuner(range(1, 5), lambda: None)
    while tuner.n_threads == 4:
        tuner.took(0.02, 1)

    tuner.begin()

    assert tuner.n_threads == 4
    for _ in range(20):  # nor is it begun anew at once
        tuner.took(0.02, 1)
    assert tuner.n_threads == 4


@pytest.mark.parametrize("is_silent", [True, False])
@pytest.mark.parametrize("n_cores", EQUAL)
def test_hiccups_are_no_reason_for_fewer_threads(n_cores: int, is_silent: bool) -> None:
    machine = Machine(EQUAL[n_cores], is_silent=is_silent)
    tuner = ThreadTuner(range(1, n_cores + 1), OtherWork(lambda: machine.now, machine.read).spare_cores)
    numbers = []
    for number in range(10_000):
        numbers.append(tuner.n_threads)
        hiccup_s = 0.06 if number % 500 == 499 else 0.0
        tuner.took(machine.evaluate(tuner.n_threads) + hiccup_s, 1)

    assert numbers.count(n_cores) > 0.8 * len(numbers)


def test_a_machine_that_slept_during_a_trial_is_used_whole_again() -> None:
    machine = Machine(busy=until(5, 1), is_silent=True)
    tuner = ThreadTuner(range(1, 3), lambda: None)
    while machine.now < 3:
        tuner.took(machine.evaluate(tuner.n_threads), 1)
    while tuner.n_threads == 1:
        tuner.took(machine.evaluate(tuner.n_threads), 1)
    tuner.took(600, 1)  # asleep during the trial of the second
    since = machine.now
    while tuner.n_threads == 1 and machine.now < since + 200:
        tuner.took(machine.evaluate(tuner.n_threads), 1)

    assert machine.now < since + 130
