"""The models screen in a real browser: getting, pausing, failing, and what can be done with what is there."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
from gguf import GGUFReader

from builders.checkpoints import Checkpoint, write_bloom
from builders.gguf_models import chain, write_scripted_model
from builders.hub import Fault, LocalHub, Seen
from builders.sparse_models import SparseShape, write_sparse_model
from convert.detect import open_checkpoint
from convert.pipeline import convert
from convert.resumable import journal_path, read_lines

Start = Callable[..., Any]
Look = Callable[..., Any]

BELLE = "BelleGroup/BELLE-7B-2M"
NAME = "BELLE-7B-2M-q4_k_m.gguf"
SLACK_BYTES = 1 << 20  # headers, small files, and what lies between two tensors


@pytest.fixture
def large(hub: LocalHub, tmp_path: Path) -> Checkpoint:
    """BELLE-7B-2M on the hub, large enough to be interrupted on the way."""
    checkpoint = write_bloom(tmp_path / "source", hidden=512, n_layer=8)
    hub.files.clear()
    hub.add_folder(BELLE, tmp_path / "source")
    return checkpoint


def _slowly(bytes_per_s: float) -> Callable[[Seen], Fault | None]:
    return lambda seen: Fault(bytes_per_s=bytes_per_s) if seen.server == "lfs" else None


def _asked_bytes(seen: Sequence[Seen]) -> int:
    """How much of the weights was asked for."""
    ranges = [each.range or "" for each in seen if each.server == "lfs" and each.method == "GET"]
    ends = [text.removeprefix("bytes=").split("-") for text in ranges]
    return sum(int(stop) - int(start) + 1 for start, stop in ends)


def _finished_tensors(models: Path) -> set[str]:
    """What the unfinished conversion vouches for."""
    _, *lines = journal_path(models / NAME).read_text(encoding="utf-8").split("\n")
    return {tensor.name for tensor in read_lines(lines)}


def _wait_for_percent(app: Any, percent: int) -> None:
    def is_there() -> bool:
        text = app.text("strip")
        found = [int(word) for word, sign in zip(text.split(), text.split()[1:], strict=False) if sign == "%"]
        return bool(found) and found[0] >= percent

    app.wait_for(is_there, f"{percent} % in the strip")


def test_a_pause_a_kill_and_an_end_cost_nothing(
    start: Start, look: Look, hub: LocalHub, home: Path, large: Checkpoint
) -> None:
    models = home / "models"
    hub.fault = _slowly(3e6)
    server = start(hub=hub.url)
    app = look(server)
    app.click("offer-get")
    _wait_for_percent(app, 20)

    app.click("strip-pause")

    app.wait_for_label("strip", "paused at")
    app.wait_for_label("offer", "has stopped")
    finished = [_finished_tensors(models)]
    n_seen = [len(hub.seen)]
    app.click("strip-resume")
    _wait_for_percent(app, 40)
    server.kill()
    finished.append(_finished_tensors(models))
    n_seen.append(len(hub.seen))

    server = start(hub=hub.url)
    app = look(server)
    app.wait_for_label("strip", "Getting BELLE-7B-2M: paused")
    app.click("models")
    app.wait_for_label("job-0", "paused")
    assert len(hub.seen) == n_seen[-1]
    app.click("job-resume-0")
    _wait_for_percent(app, 60)
    assert server.stop(signal.SIGTERM) == 0
    finished.append(_finished_tensors(models))
    n_seen.append(len(hub.seen))

    hub.fault = lambda seen: None
    app = look(start(hub=hub.url, language="zh-CN"))
    app.wait_for_label("strip", "已暂停")
    app.click("strip-resume")
    app.click("models")
    app.wait_for_label("local-1", "BELLE-7B-2M")
    app.wait_for(lambda: not app.has("strip"), "the end of the work")

    assert os.listdir(models) == [NAME]
    expected = models.parent / "undisturbed.gguf"
    with open_checkpoint(large.folder) as checkpoint:
        list(convert(checkpoint.plan("q4_k_m", checkpoint.prompt("belle")), expected))
    assert (models / NAME).read_bytes() == expected.read_bytes()
    sizes = {str(tensor.name): 4 * int(tensor.n_elements) for tensor in GGUFReader(expected).tensors}
    total_bytes = sum(sizes.values())
    for n_before, kept in zip(n_seen, finished, strict=True):
        assert kept
        kept_bytes = sum(sizes[name] for name in kept)
        n_after = next((n for n in n_seen if n > n_before), len(hub.seen))
        assert _asked_bytes(hub.seen[n_before:n_after]) < total_bytes - kept_bytes + SLACK_BYTES


def test_a_failure_is_told_in_both_languages_and_cancelling_leaves_nothing(
    start: Start, look: Look, hub: LocalHub, home: Path, large: Checkpoint
) -> None:
    hub.fault = lambda seen: Fault(status=404, headers={"X-Error-Code": "RepoNotFound"})
    app = look(start(hub=hub.url))
    app.click("models")
    app.click("section-get")
    app.wait_for(lambda: app.has("get-recommended"), "the recommended model")
    assert not app.has("offline")
    app.click("get-recommended")

    app.wait_for_label("job-0", "is not to be found at 127.0.0.1")
    app.choose_language("中文")
    app.click("models")
    app.wait_for_label("job-0", "在 127.0.0.1")
    assert "找不到 BelleGroup/BELLE-7B-2M" in app.text("job-0")
    app.wait_for_label("strip", "BELLE-7B-2M")

    hub.fault = _slowly(1e6)
    app.click("job-again-0")
    app.wait_for_label("job-0", "正在")
    app.wait_for(lambda: list((home / "models").iterdir()), "something on the disk")
    app.wait_for_label("job-0", "%")
    app.choose_language("English")
    app.click("models")
    app.wait_for_label("job-0", "downloading and converting")
    _wait_for_percent(app, 5)
    app.click("job-cancel-0")
    app.wait_for_text("Cancel BELLE-7B-2M?")
    app.press("Cancel it")

    app.wait_for(lambda: not app.has("job-0"), "the end of the job")
    assert not app.has("strip")
    assert os.listdir(home / "models") == []
    assert os.listdir(home / "jobs") == []


def test_without_a_network_the_screen_says_so_and_the_rest_works(
    start: Start, look: Look, home: Path
) -> None:
    write_scripted_model(_folder(home / "models") / "here.gguf", chain(b":", b"a", b"b"))
    app = look(start(environ={"HF_HUB_OFFLINE": "1"}))
    app.click("models")
    app.wait_for_label("local-1", "here")
    app.click("section-get")

    app.wait_for_label("offline", "There is no network now")
    assert app.has("get-recommended")
    app.choose_language("中文")
    app.click("models")
    app.click("section-get")
    app.wait_for_label("offline", "现在没有网络")


def test_a_model_that_does_not_fit_says_so_with_numbers_and_the_demo_takes_over(
    start: Start, look: Look, home: Path
) -> None:
    shape = SparseShape("llama", 8192, 64, 80, 28672, 32_000, quantization="Q8_0", n_kv_heads=8)
    model = write_sparse_model(_folder(home / "models") / "大 模型.gguf", shape)
    assert model.stat().st_size > 70e9
    assert model.stat().st_blocks * 512 < 100e6
    app = look(start())
    app.click("models")

    app.wait_for_label("local-1", "Does not fit")
    app.click("local-more-1")
    app.click_text("Details")
    app.wait_for_label("local-details", "Does not fit: it needs")
    assert "GB of memory, and" in app.text("local-details")
    app.press("Close")
    app.click("use-1")
    app.wait_for(lambda: app.has("load-failure"), "the reason")
    reason = app.text("load-failure")
    assert "大 模型.gguf needs" in reason
    assert "GB are available" in reason

    app.choose_language("中文")
    app.click("models")
    app.wait_for_label("local-1", "内存不够")
    app.click("new-chat")
    app.wait_for_label("load-failure", "内存")
    assert "大 模型.gguf" in app.text("load-failure")
    app.click("failure-demo")
    app.wait_for(lambda: not app.has("load-failure"), "the demo")
    app.ask("你好")
    assert app.wait_for_answer()


def _folder(path: Path) -> Path:
    path.mkdir(parents=True, exist_ok=True)
    return path
