"""Run as a script: convert a generated model, so that a test can watch its memory or kill it.

    generated_conversion.py OUTPUT N_ROWS SLEEP_S

One matrix of N_ROWS x 4096 float32 weights that exist only while they are read, each read taking SLEEP_S.
Prints a line for each progress value, the last one of "verify" as "verified", and at the end the growth of
the peak memory in bytes.
"""

from __future__ import annotations

import sys
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from builders.shaped_models import ShapedModel, llama_shaped
from convert.arch.base import MappedTensor
from convert.pipeline import Converted, Plan, convert, peak_rss_bytes
from engine.native.kernels import GgmlType, quantize_rows

WIDTH = 4096


@dataclass(frozen=True)
class GeneratedTensor:
    """A large tensor without storage."""

    n_rows: int
    sleep_s: float
    name: str = "generated"
    dtype: str = "f32"

    @property
    def shape(self) -> tuple[int, ...]:
        return (self.n_rows, WIDTH)

    def read_rows(self, start: int, stop: int) -> NDArray[np.float32]:
        time.sleep(self.sleep_s)
        rows = np.arange(start, stop, dtype=np.float32)[:, None] % 1000
        return np.ascontiguousarray(np.broadcast_to(rows, (stop - start, WIDTH)))


def plan_generated(n_rows: int, sleep_s: float) -> Plan:
    """A LLaMA whose embedding is the generated tensor."""
    small = llama_shaped(256, 2)
    large = MappedTensor("token_embd.weight", GeneratedTensor(n_rows, sleep_s))
    return ShapedModel(small.architecture, [large, *small.mapped[1:]]).plan("q4_0")


def main() -> None:
    output, n_rows, sleep_s = Path(sys.argv[1]), int(sys.argv[2]), float(sys.argv[3])
    plan = plan_generated(n_rows, sleep_s)
    assert plan.header
    quantize_rows(GgmlType.Q4_0, np.zeros((1, 32), np.float32))
    before_bytes = peak_rss_bytes()
    resume_id = sys.argv[4] if len(sys.argv) > 4 else None
    for event in convert(plan, output, threads=2, resume_id=resume_id):
        if isinstance(event, Converted):
            print(event.peak_rss_bytes - before_bytes, flush=True)  # noqa: T201
        else:
            is_verified = event.phase == "verify" and event.done_bytes == event.total_bytes
            print("verified" if is_verified else event.phase, flush=True)  # noqa: T201


if __name__ == "__main__":
    main()
