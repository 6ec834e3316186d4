"""What is said of long work: how far it is, how it ended, in both languages."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from app.components.work.job_text import amount_text, ending_text, job_text, short_text
from app.errors import ModelNotFound
from app.i18n import Texts, WindowTexts
from app.models.acquire import Wish
from app.models.errands import Errand, Get, Import, Verify
from app.models.importing import ImportWish
from app.models.job_records import JobRecord, State
from app.models.jobs import Job
from app.models.progress import Phase, WorkDone, WorkProgress
from app.models.progress_texts import left_text, rate_text

GET = Get("BELLE-7B-2M", "BelleGroup/BELLE-7B-2M", Wish("BelleGroup/BELLE-7B-2M"))
IMPORT = Import(ImportWish(Path("/数据/模型.bin")))
CONVERSION = Import(ImportWish(Path("/数据/模型.bin"), name="贝拉-q4_k_m"))
VERIFY = Verify(Path("/models/belle.gguf"))
EN, ZH = WindowTexts("en"), WindowTexts("zh-CN")


def job(errand: Errand, state: State = "running", **values: int) -> Job:
    return Job(JobRecord("0" * 16, errand, state, 0.0, **values))


def running(errand: Errand, phase: Phase, **values: float) -> Job:
    return replace(job(errand), progress=replace(WorkProgress(phase, "x"), **values))


def test_work_under_way_tells_percent_rate_and_time() -> None:
    at_work = running(
        GET, "convert", done_bytes=340, total_bytes=1000, bytes_per_s=12_000_000.0, left_s=300.0
    )
    assert job_text(at_work, EN) == (
        "Getting BELLE-7B-2M: downloading and converting, 34% · 12\N{NO-BREAK SPACE}MB/s · about 5 min left"
    )
    assert job_text(at_work, ZH) == (
        "获取 BELLE-7B-2M：边下载边转换，34% · 12\N{NO-BREAK SPACE}MB/秒 · 约剩 5 分钟"
    )
    assert short_text(at_work, EN) == "34% · Getting BELLE-7B-2M"
    assert "downloading and" not in job_text(running(IMPORT, "convert"), EN)


@pytest.mark.parametrize("texts", [EN, ZH])
@pytest.mark.parametrize("phase", ["ask", "check", "download", "copy", "resume", "convert", "verify"])
@pytest.mark.parametrize("errand", [GET, IMPORT, CONVERSION, VERIFY])
def test_every_phase_has_its_word(errand: Errand, phase: Phase, texts: Texts) -> None:
    text = job_text(running(errand, phase), texts)
    assert errand.title in text
    assert "job." not in text


@pytest.mark.parametrize("texts", [EN, ZH])
@pytest.mark.parametrize("state", ["queued", "running", "paused", "failed", "done"])
def test_every_state_has_its_word(state: State, texts: Texts) -> None:
    assert "job." not in job_text(job(IMPORT, state), texts)


def test_an_import_is_called_as_what_it_makes() -> None:
    assert job_text(job(CONVERSION, "queued"), EN).startswith("Converting 贝拉-q4_k_m:")
    assert job_text(job(IMPORT, "queued"), EN).startswith("Importing 模型.bin:")
    record = replace(job(IMPORT).record, output="/models/模型-2.gguf")
    assert job_text(Job(record), EN).startswith("Importing 模型-2:")


def test_where_there_is_little_room_the_state_comes_first() -> None:
    assert short_text(job(GET, "paused", done_bytes=34, total_bytes=100), EN) == "Paused at 34% · BELLE-7B-2M"
    assert short_text(job(GET, "failed"), EN) == "Stopped by an error · BELLE-7B-2M"
    assert short_text(job(GET, "failed"), ZH) == "因出错而停止 · BELLE-7B-2M"
    assert short_text(replace(job(GET), is_stopping=True), EN) == "Stopping … · BELLE-7B-2M"


def test_what_has_come_counts_before_it_is_written() -> None:
    ahead = running(GET, "convert", done_bytes=47, total_bytes=100, ahead_bytes=17)
    assert ahead.share == 0.47
    assert "47%" in job_text(ahead, EN)


def test_a_pause_tells_how_far_it_got_and_a_failure_why() -> None:
    assert job_text(job(GET, "paused", done_bytes=34, total_bytes=100), EN).endswith("paused at 34%")
    error = ModelNotFound("belle", Path("/models"), ("demo",))
    failed = replace(job(GET, "failed"), error=error)
    assert EN.error(error) in job_text(failed, EN)
    assert EN.error(error) in (ending_text(failed, EN) or "")
    assert "KeyError" in job_text(replace(failed, error=KeyError("x")), EN)


def test_a_hub_that_does_not_answer_is_named() -> None:
    waiting = running(GET, "download", waiting_s=4.4)
    assert waiting.progress is not None
    waiting = replace(waiting, progress=replace(waiting.progress, host="127.0.0.1:1"))
    assert job_text(waiting, EN).endswith("waiting for 127.0.0.1:1, next try in 4 s")


@pytest.mark.parametrize("texts", [EN, ZH])
def test_every_ending_is_told(texts: Texts) -> None:
    done = WorkDone(Path("/models/belle.gguf"), 1, "0" * 64)
    endings = {
        ending_text(replace(job(GET, "done"), done=done), texts),
        ending_text(replace(job(IMPORT, "done"), done=done), texts),
        ending_text(replace(job(VERIFY, "done"), done=done), texts),
        ending_text(replace(job(VERIFY, "done"), done=replace(done, is_confirmed=True)), texts),
    }
    assert len(endings) == 4
    assert None not in endings
    assert ending_text(job(GET), texts) is None
    assert ending_text(job(GET, "paused"), texts) is None


@pytest.mark.parametrize(
    ("left_s", "text"),
    [
        (None, ""),
        (0, ""),
        (3, "less than a minute left"),
        (200, "about 3 min left"),
        (5400, "about 1 h 30 min left"),
    ],
)
def test_time_is_told_as_people_say_it(left_s: float | None, text: str) -> None:
    assert left_text(WorkProgress("copy", "x", left_s=left_s), EN) == text


def test_a_rate_has_two_digits_so_that_it_stands_still() -> None:
    rates = [
        rate_text(WorkProgress("copy", "x", bytes_per_s=rate), Texts("en")) for rate in (0, 999.9, 123e5)
    ]
    assert rates == ["", "1 kB/s", "12 MB/s"]


def test_what_is_done_is_told_beside_it() -> None:
    at_work = running(
        GET,
        "convert",
        done_bytes=9_530_000_000,
        total_bytes=28_020_000_000,
        n_tensors_done=123,
        n_tensors=434,
    )
    space = "\N{NO-BREAK SPACE}"
    sizes = f"9.53{space}/{space}28.02{space}GB"
    assert amount_text(at_work, EN) == f"{sizes} · tensor 123 of 434"
    assert amount_text(at_work, ZH, "blk.0") == f"{sizes} · 第 123 / 434 个张量 · blk.0"
    assert "tensor" not in job_text(at_work, EN)  # the strip has one line
    assert amount_text(running(GET, "ask"), EN) == ""
    assert amount_text(job(GET, "paused", done_bytes=1, total_bytes=2), EN) == ""
    assert amount_text(replace(at_work, is_stopping=True), EN) == ""


def test_reading_a_result_back_is_told_in_bytes_alone() -> None:
    read = running(IMPORT, "verify", done_bytes=1, total_bytes=2, n_tensors_done=2, n_tensors=2)
    assert amount_text(read, Texts("en")) == "1 / 2 B"
