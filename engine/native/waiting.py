"""How ggml's threads wait for one another, where GCC's OpenMP makes them.

Its own 300,000 looks at whether the others are there take milliseconds, in which a thread keeps the very
processor that a late one waits for; 1,000 (20 µs) cost nothing on an idle machine, 100 a third.
`engine.threads` says what was measured.
"""

from __future__ import annotations

import os

_SPIN_COUNT = "1000"
_SET_BY_THE_PERSON = ("GOMP_SPINCOUNT", "OMP_WAIT_POLICY")


def wait_briefly() -> None:
    """To be called before any of ggml's libraries is opened: libgomp, which they link, reads it then only."""
    if not any(name in os.environ for name in _SET_BY_THE_PERSON):
        os.environ["GOMP_SPINCOUNT"] = _SPIN_COUNT
