"""What is told of a checkpoint that is converted while it comes, and what a kill at its very end leaves."""

from __future__ import annotations

import os
from contextlib import closing
from pathlib import Path

import pytest

from app.models.acquire import Wish, acquire
from app.models.progress import WorkDone, WorkProgress
from builders.checkpoints import write_bloom
from builders.hub import Fault, LocalHub
from convert.errors import OutputExists
from convert.resumable import journal_path
from engine.models.endpoints import Endpoints, host_of
from engine.models.reply import Patience

REPO = "BelleGroup/BELLE-tiny"
FAST = Patience(connect_s=2, stall_s=3, n_failures=4, backoff_s=0.01)


@pytest.fixture
def models(tmp_path: Path) -> Path:
    (tmp_path / "模型").mkdir()
    return tmp_path / "模型"


def test_what_comes_is_told_before_a_tensor_is_whole(tmp_path: Path, models: Path) -> None:
    """The largest tensor of BELLE-7B is 4 GB: minutes in which a person wants to see that something moves."""
    write_bloom(tmp_path / "source", hidden=256, n_tokens=4000)
    with LocalHub() as hub:
        hub.add_folder(REPO, tmp_path / "source")
        hub.fault = lambda seen: Fault(bytes_per_s=2e4) if seen.server == "lfs" else None
        with closing(acquire(Wish(REPO), models, Endpoints((hub.url,)), patience=FAST)) as events:
            converting = (event for event in events if getattr(event, "phase", "") == "convert")
            seen = [next(converting) for _ in range(6)]

    assert all(isinstance(event, WorkProgress) and event.n_tensors_done == 0 for event in seen)
    done_bytes = [event.done_bytes for event in seen if isinstance(event, WorkProgress)]
    assert done_bytes == sorted(done_bytes)
    assert 0 <= done_bytes[0] < done_bytes[-1] < 1 << 19  # less than the converter takes at once
    assert [event.ahead_bytes for event in seen if isinstance(event, WorkProgress)] == done_bytes


def test_a_hub_that_is_gone_for_a_while_is_told(tmp_path: Path, models: Path) -> None:
    write_bloom(tmp_path / "source", hidden=256, n_layer=4)
    is_away = False
    with LocalHub() as hub:
        hub.add_folder(REPO, tmp_path / "source")
        hub.fault = lambda seen: Fault(status=503) if is_away else Fault(bytes_per_s=1e6)
        patience = Patience(connect_s=2, stall_s=3, n_failures=100, backoff_s=1.0)
        with closing(acquire(Wish(REPO), models, Endpoints((hub.url,)), patience=patience)) as events:
            told = (event for event in events if isinstance(event, WorkProgress))
            next(event for event in told if event.n_tensors_done > 0)
            is_away = True
            waiting = next(event for event in told if event.waiting_s > 0)
            is_away = False
            hub.fault = lambda seen: None
            *_, last = events

    assert (waiting.phase, waiting.host) == ("convert", host_of(hub.url))
    assert isinstance(last, WorkDone)


def test_a_result_that_nobody_heard_of_is_taken_over(tmp_path: Path, models: Path) -> None:
    """A kill between the result's name and the record of it."""
    write_bloom(tmp_path / "source", hidden=256)
    with LocalHub() as hub:
        hub.add_folder(REPO, tmp_path / "source")
        *_, first = acquire(Wish(REPO), models, Endpoints((hub.url,)), patience=FAST)
        assert isinstance(first, WorkDone)
        journal_path(first.path).write_text("left behind")
        *progress, last = acquire(Wish(REPO), models, Endpoints((hub.url,)), patience=FAST, output=first.path)

        first.path.write_bytes(first.path.read_bytes()[:-1] + b"more")
        with pytest.raises(OutputExists):
            list(acquire(Wish(REPO), models, Endpoints((hub.url,)), patience=FAST, output=first.path))

    assert last == first
    assert {event.phase for event in progress if isinstance(event, WorkProgress)} == {"ask", "verify"}
    assert os.listdir(models) == [first.path.name]
