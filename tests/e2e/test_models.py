"""The models screen in a real browser: getting, pausing, failing, and what can be done with what is there."""

from __future__ import annotations

import os
import re
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
        found = re.search(r"(\d+)%", app.text("strip"))
        return found is not None and int(found[1]) >= percent

    app.wait_for(is_there, f"{percent}% in the strip")


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

    hub.fault = _slowly(1e5)  # it must outlast two changes of the language
    app.click("job-again-0")
    app.wait_for_label("job-0", "正在")
    app.wait_for(lambda: list((home / "models").iterdir()), "something on the disk")
    app.wait_for_label("job-0", "%")
    app.choose_language("English")
    app.click("models")
    app.wait_for_label("job-0", "downloading and converting")
    _wait_for_percent(app, 6)  # a little after the first large tensors are finished
    app.click("job-cancel-0")
    app.wait_for_text("Cancel BELLE-7B-2M?")
    app.press("Cancel it")

    app.wait_for(lambda: not app.has("job-0"), "the end of the job")
    app.wait_for(lambda: not app.has("strip"), "the end of the strip")
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

    app.wait_for_label("offline", "HF_HUB_OFFLINE forbids the network")
    app.wait_for(lambda: app.has("get-recommended"), "the recommended model")
    app.choose_language("中文")
    app.click("models")
    app.click("section-get")
    app.wait_for_label("offline", "HF_HUB_OFFLINE 禁止联网")


def test_a_model_that_does_not_fit_says_so_with_numbers_and_the_demo_takes_over(
    start: Start, look: Look, home: Path
) -> None:
    shape = SparseShape("llama", 16_384, 128, 160, 65_536, 32_000, quantization="Q8_0", n_kv_heads=8)
    model = write_sparse_model(_folder(home / "models") / "大 模型.gguf", shape)
    assert model.stat().st_size > 500e9  # more than any machine that runs this has
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
    assert re.search(r"大 模型\.gguf needs [\d.]+\sGB of memory .*, and [\d.]+\sGB are available", reason)

    app.choose_language("中文")
    app.click("models")
    app.wait_for_label("local-1", "内存不够")
    app.click("new-chat")
    in_chinese = r"大 模型\.gguf 在.*需要 [\d.]+\sGB 内存，而目前可用的只有 [\d.]+\sGB"
    app.wait_for(lambda: re.search(in_chinese, app.text("load-failure")), "the numbers in Chinese")
    app.click("failure-demo")
    app.wait_for(lambda: not app.has("load-failure"), "the demo")
    app.ask("你好")
    assert app.wait_for_answer()


def _folder(path: Path) -> Path:
    path.mkdir(parents=True, exist_ok=True)
    return path


def _row_of(app: Any, name: str) -> int:
    """The number of a model's row."""

    def find() -> int:
        return next((number for number in range(1, 9) if name in app.text(f"local-{number}")), 0)

    return int(app.wait_for(find, f"{name} in the list"))


def _choose(app: Any, name: str, action: str) -> None:
    """Choose something from the menu of a model's row."""
    app.click(f"local-more-{_row_of(app, name)}")
    app.click_text(action)


def test_what_is_there_is_filtered_found_fetched_used_checked_and_removed(
    start: Start, look: Look, hub: LocalHub, home: Path, tmp_path: Path
) -> None:
    own = write_scripted_model(_folder(home / "models") / "自己 的.gguf", chain(b":", b"a", b"b"))
    published = write_scripted_model(tmp_path / "tiny.gguf", chain(b":", b"x", b"y", b"z"))
    hub.add("somebody/Tiny-GGUF", "tiny.gguf", published)
    server = start(hub=hub.url)
    app = look(server, height=1_800)
    app.click("models")
    app.click("section-get")

    app.wait_for(lambda: app.has("catalog-belle-llama-7b-2m-enc"), "the catalog")
    app.click("filter-no-key")
    app.wait_for(lambda: not app.has("catalog-belle-llama-7b-2m-enc"), "only models without a key")
    app.wait_for(lambda: app.has("catalog-belle-7b-1m"), "a model without a key")
    app.fill("catalog-text", "GPTQ")
    app.wait_for(lambda: not app.has("catalog-belle-7b-1m"), "only GPTQ")
    app.wait_for(lambda: app.has("catalog-belle-bloom-gptq-4bit"), "GPTQ")

    app.fill("hub-query", "tiny")
    app.page.wait_for_timeout(500)
    assert hub.seen == []
    app.click("hub-search")
    app.wait_for_label("hub-0", "somebody/Tiny-GGUF")
    assert not app.has("hub-1")
    assert {seen.path for seen in hub.seen} == {"/api/models"}
    app.click("hub-get-0")
    app.wait_for(lambda: app.has("get-start"), "the question")
    assert hub.file_requests() == []
    app.click("get-start")
    app.wait_for_label("job-0", "is ready")
    assert (home / "models" / "tiny.gguf").read_bytes() == published.read_bytes()

    app.click("section-local")
    app.click(f"use-{_row_of(app, 'tiny')}")
    app.wait_for_label("model-in-use", "tiny")
    app.ask("go")
    assert "xyz" in app.wait_for_answer()
    app.click("models")
    app.wait_for_label(f"local-{_row_of(app, 'tiny')}", "In use")
    _choose(app, "tiny", "Details")
    app.wait_for_label("local-details", "somebody/Tiny-GGUF/tiny.gguf")
    app.wait_for_label("local-details", "The hash is what it should be.")
    app.press("Close")

    _choose(app, "tiny", "Verify")
    app.wait_for_label("job-1", "is undamaged")
    damaged = bytearray(published.read_bytes())
    damaged[-100] ^= 1
    (home / "models" / "tiny.gguf").write_bytes(damaged)
    _choose(app, "tiny", "Verify")
    app.wait_for(lambda: "tiny did not pass" in app.page_text(), "the finding")
    app.wait_for_text("is damaged, or another file of this name")

    own.rename(home / "models" / "新名 字.gguf")
    (home / "models" / "tiny.gguf").unlink()
    app.click("models")
    _row_of(app, "新名 字")
    app.wait_for_label("missing-0", "tiny")
    app.click("forget-0")
    app.wait_for(lambda: not app.has("missing-0"), "nothing missing")

    _choose(app, "新名 字", "Remove…")
    app.wait_for_text("Remove 新名 字?")
    app.press("Remove")
    app.wait_for(lambda: not app.has("local-1"), "an empty list")
    assert os.listdir(home / "models") == []
    assert os.listdir(server.trash) == ["新名 字.gguf"]
    assert app.reached == []


def _cut_off(app: Any, width: int) -> list[str]:
    """What reaches over the side of the page."""
    boxes = app.page.evaluate(
        "() => [...document.querySelectorAll('[flt-semantics-identifier]')].map(node => ["
        "node.getAttribute('flt-semantics-identifier'),"
        " node.getBoundingClientRect().left, node.getBoundingClientRect().right])"
    )
    return [name for name, left, right in boxes if left < -1 or right > width + 1]


def test_a_narrow_dark_window_has_all_screens_in_both_languages(start: Start, look: Look, home: Path) -> None:
    name = "一个名字特别特别长的模型-with-a-name-that-does-not-end-q4_k_m"
    write_scripted_model(_folder(home / "models") / f"{name}.gguf", chain(b":", b"a", b"b"))
    server = start()
    app = look(server, width=360, height=740, scheme="dark")
    other = look(server)
    screens = {  # what is on it, and its words in the language that it is switched to
        "models": ("local-1", "中文", "这台电脑上"),
        "convert": ("source", "English", "File or folder"),
        "settings": ("theme", "中文", "外观"),
    }
    for screen, (sign, language, word) in screens.items():
        app.click("menu")
        app.wait_for(lambda: app.has("new-chat"), "the drawer")
        app.click(screen)
        app.wait_for(lambda sign=sign: app.has(sign), screen)
        assert word not in app.page_text()
        other.choose_language(language)
        app.wait_for_text(word)
        app.wait_for(lambda sign=sign: app.has(sign), f"{screen} again")
        assert _cut_off(app, 360) == []
