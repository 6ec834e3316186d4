"""The queue of long work: order, lanes, pause, cancel, restart, and what a record on the disk may hold."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from app.errors import ModelNotFound, NameClaimed
from app.home import Home
from app.i18n import Texts
from app.models.acquire import Wish
from app.models.errands import Errand, Get, Import, Verify, Work, carry_out
from app.models.importing import ImportWish
from app.models.job_records import JobRecord
from app.models.jobs import Job, Jobs
from app.models.progress import WorkDone, WorkProgress
from builders.gguf_models import write_model
from builders.hub import Fault, LocalHub
from engine.models.endpoints import Endpoints
from engine.models.fetch_errors import AddressEmpty, AddressNotGguf, NotOnHub, Offline


def wish(repo: str) -> Get:
    return Get(repo, repo, Wish(repo))


class Fixture:
    """Jobs over a local hub with one checkpoint and one GGUF."""

    def __init__(self, tmp_path: Path, hub: LocalHub) -> None:
        self.seen: list[Job] = []
        self.home = Home(tmp_path / "数据")
        self.hub = hub

    def open(self) -> Jobs:
        return Jobs(self.home.jobs, self.work, self.seen.append)

    def work(self, errand: Errand, is_cancelled: Callable[[], bool]) -> Work:
        return carry_out(errand, self.home, Endpoints((self.hub.url,)), is_cancelled)


def test_jobs_are_done_in_order_and_survive_a_restart_as_paused(tmp_path: Path) -> None:
    with LocalHub() as hub:
        hub.add("a/one", "one.gguf", os.urandom(3_000_000))
        hub.add("a/two", "two.gguf", os.urandom(300_000))
        fixture = Fixture(tmp_path, hub)
        hub.fault = lambda seen: Fault(bytes_per_s=200_000) if seen.server == "lfs" else None
        jobs = fixture.open()
        first, second = jobs.add(wish("a/one")), jobs.add(wish("a/two"))
        assert jobs.add(wish("a/one")) == first
        while not any(job.progress and job.progress.done_bytes for job in fixture.seen):
            time.sleep(0.02)
        jobs.close()

        again = fixture.open()
        assert [(job.record.id, job.record.state) for job in again.all] == [
            (first, "paused"),
            (second, "paused"),
        ]
        errand = again.all[0].errand
        assert isinstance(errand, Get)
        assert errand.wish is not None
        assert errand.wish.revision == hub.commit
        hub.fault = lambda seen: None
        again.resume(first)
        again.resume(second)
        assert again.wait(30)
        assert [job.record.state for job in again.all] == ["done", "done"]
        again.close()

    assert (fixture.home.models / "one.gguf").read_bytes() == hub.files["a/one", "one.gguf"].data
    assert sorted(os.listdir(fixture.home.models)) == ["one.gguf", "two.gguf"]


def test_a_cancelled_job_leaves_nothing_and_a_failed_one_says_why(tmp_path: Path) -> None:
    with LocalHub() as hub:
        hub.add("a/one", "one.gguf", os.urandom(3_000_000))
        fixture = Fixture(tmp_path, hub)
        hub.fault = lambda seen: Fault(bytes_per_s=200_000) if seen.server == "lfs" else None
        jobs = fixture.open()
        job_id = jobs.add(wish("a/one"))
        while not any(job.progress and job.progress.done_bytes for job in fixture.seen):
            time.sleep(0.02)
        jobs.cancel(job_id)
        assert jobs.all == ()
        assert os.listdir(fixture.home.models) == []
        assert os.listdir(fixture.home.jobs) == []

        jobs.add(wish("a/nothing"))
        assert jobs.wait(30)
        failed = jobs.all[0]
        assert failed.state == "failed"
        assert isinstance(failed.error, NotOnHub)
        jobs.close()


@pytest.mark.parametrize("start", [b"<!DOCTYPE html><title>a model</title>", b"PK\x03\x04"])
def test_what_an_address_has_is_refused_by_its_first_bytes_if_it_is_no_gguf(
    tmp_path: Path, start: bytes
) -> None:
    with LocalHub() as hub:
        file = hub.add("a/one", "one.gguf", start + bytes(3_000_000))
        hub.fault = lambda seen: Fault(bytes_per_s=200_000)
        fixture = Fixture(tmp_path, hub)
        jobs = fixture.open()
        jobs.add(Get("页面", "https://…", address=f"{hub.lfs_url}/lfs/{file.hash}"))
        assert jobs.wait(30)
        (failed,) = jobs.all
        asked = [seen.range for seen in hub.seen]
        jobs.close()

    assert isinstance(failed.error, AddressNotGguf)
    assert failed.error.found == start[:4].hex(" ")
    assert failed.error.host == hub.lfs_url.removeprefix("http://")
    assert asked == ["bytes=0-3"]
    assert os.listdir(fixture.home.models) == []


def test_an_address_that_answers_with_nothing_is_refused(tmp_path: Path) -> None:
    with LocalHub() as hub:
        file = hub.add("a/one", "one.gguf", b"")
        hub.fault = lambda seen: Fault(no_ranges=True)
        fixture = Fixture(tmp_path, hub)
        jobs = fixture.open()
        jobs.add(Get("空", "https://…", address=f"{hub.lfs_url}/lfs/{file.hash}"))
        assert jobs.wait(30)
        (failed,) = jobs.all
        jobs.close()

    assert isinstance(failed.error, AddressEmpty)
    assert os.listdir(fixture.home.models) == []


def test_an_address_out_of_reach_is_told_with_its_host(tmp_path: Path) -> None:
    with LocalHub() as gone:
        address = f"{gone.lfs_url}/a.gguf"
    with LocalHub() as hub:
        jobs = Fixture(tmp_path, hub).open()
        jobs.add(Get("belle", "https://…", address=address))
        assert jobs.wait(30)
        (failed,) = jobs.all
        jobs.close()

    assert isinstance(failed.error, Offline)
    assert failed.error.hosts == (gone.lfs_url.removeprefix("http://"),)
    assert failed.error.hosts[0] in Texts("en").error(failed.error)


@pytest.mark.parametrize("has_ranges", [True, False])
def test_a_gguf_at_an_address_is_fetched(tmp_path: Path, has_ranges: bool) -> None:
    with LocalHub() as hub:
        file = hub.add("a/one", "one.gguf", make_model(tmp_path / "source.gguf"))
        hub.fault = lambda seen: Fault(no_ranges=not has_ranges)
        fixture = Fixture(tmp_path, hub)
        jobs = fixture.open()
        jobs.add(Get("贝拉", "https://…", address=f"{hub.lfs_url}/lfs/{file.hash}"))
        assert jobs.wait(30)
        assert [job.state for job in jobs.all] == ["done"]
        jobs.close()

    assert (fixture.home.models / "贝拉.gguf").read_bytes() == (tmp_path / "source.gguf").read_bytes()


def test_damaged_job_records_are_left_alone(tmp_path: Path) -> None:
    folder = tmp_path / "jobs"
    folder.mkdir()
    for name, text in (("0" * 16, "{"), ("1" * 16, '{"id": "../../x"}'), ("2" * 16, "\x00")):
        (folder / f"{name}.job.json").write_text(text)
    jobs = Jobs(folder, lambda errand, is_cancelled: iter_nothing())
    assert jobs.all == ()
    assert len(os.listdir(folder)) == 3


def iter_nothing() -> Work:
    yield from ()


def test_what_waits_for_this_disk_does_not_wait_for_a_download(tmp_path: Path) -> None:
    with LocalHub() as hub:
        hub.add("a/one", "one.gguf", os.urandom(3_000_000))
        hub.fault = lambda seen: Fault(bytes_per_s=200_000) if seen.server == "lfs" else None
        fixture = Fixture(tmp_path, hub)
        jobs = fixture.open()
        fetching = jobs.add(wish("a/one"))
        source = make_model(tmp_path / "本地.gguf")

        copying = jobs.add(Import(ImportWish(source)))
        wait_until(lambda: (jobs.find(copying) or jobs.all[0]).state == "done")

        assert (fixture.home.models / "本地.gguf").read_bytes() == source.read_bytes()
        assert next(job for job in jobs.all if job.id == fetching).state == "running"
        verifying = jobs.add(Verify(fixture.home.models / "本地.gguf"))
        wait_until(lambda: (jobs.find(verifying) or jobs.all[0]).state == "done")
        job = jobs.find(verifying)
        assert job is not None
        assert job.done is not None
        assert job.done.is_confirmed
        jobs.close()


def test_a_paused_job_tells_that_it_is_stopping_and_goes_on_where_it_was(tmp_path: Path) -> None:
    with LocalHub() as hub:
        hub.add("a/one", "one.gguf", os.urandom(3_000_000))
        hub.fault = lambda seen: Fault(bytes_per_s=200_000) if seen.server == "lfs" else None
        fixture = Fixture(tmp_path, hub)
        jobs = fixture.open()
        job_id = jobs.add(wish("a/one"))
        wait_until(lambda: any(job.progress and job.progress.done_bytes for job in fixture.seen))

        jobs.pause(job_id)
        assert jobs.wait(30)

        assert any(job.is_stopping for job in fixture.seen)
        paused = jobs.find(job_id)
        assert paused is not None
        assert (paused.state, paused.is_stopping) == ("paused", False)
        assert paused.share is not None
        assert 0 < paused.share < 1
        hub.fault = lambda seen: None
        jobs.resume(job_id)
        assert jobs.wait(30)
        assert (fixture.home.models / "one.gguf").read_bytes() == hub.files["a/one", "one.gguf"].data
        jobs.cancel(job_id)
        assert (fixture.home.models / "one.gguf").exists()
        assert fixture.seen[-1].state == "removed"
        jobs.close()


def test_what_was_fetched_of_a_paused_model_is_not_dropped_for_another_of_its_name(tmp_path: Path) -> None:
    with LocalHub() as hub:
        hub.add("a/one", "model.gguf", os.urandom(3_000_000))
        hub.add("b/two", "model.gguf", os.urandom(3_000_000))
        hub.fault = lambda seen: Fault(bytes_per_s=200_000) if seen.server == "lfs" else None
        fixture = Fixture(tmp_path, hub)
        jobs = fixture.open()
        first = jobs.add(wish("a/one"))
        wait_until(lambda: any(job.record.done_bytes for job in fixture.seen))
        jobs.pause(first)
        assert jobs.wait(30)
        part = fixture.home.models / "model.gguf.part"
        before = part.read_bytes()

        second = jobs.add(wish("b/two"))
        assert jobs.wait(30)

        failed = jobs.find(second)
        assert failed is not None
        assert isinstance(failed.error, NameClaimed)
        assert failed.error.title == "a/one"
        assert part.read_bytes() == before
        jobs.cancel(first)
        hub.fault = lambda seen: None
        jobs.resume(second)
        assert jobs.wait(30)
        assert (fixture.home.models / "model.gguf").read_bytes() == hub.files["b/two", "model.gguf"].data
        jobs.close()


def test_names_that_are_not_utf_8_and_finished_jobs_come_back_as_they_should(tmp_path: Path) -> None:
    name = os.fsdecode("模型".encode() + b"-\xff.bin")
    seen: list[Job] = []
    jobs = Jobs(tmp_path, lambda errand, is_cancelled: iter_nothing(), seen.append)
    unfinished = jobs.add(Import(ImportWish(tmp_path / name)))
    assert jobs.wait(30)
    jobs.close()

    def finish(errand: Errand, is_cancelled: Callable[[], bool]) -> Work:
        yield WorkDone(tmp_path / "x.gguf", 1, None)

    second = Jobs(tmp_path, finish)
    assert [(job.id, job.state, job.errand) for job in second.all] == [
        (unfinished, "paused", Import(ImportWish(tmp_path / name)))
    ]
    second.resume(unfinished)
    assert second.wait(30)
    second.close()
    assert Jobs(tmp_path, finish).all == ()


def test_half_a_character_in_a_name_of_windows_keeps_no_job_from_being_recorded(tmp_path: Path) -> None:
    jobs = Jobs(tmp_path, lambda errand, is_cancelled: iter_nothing())
    errand = Import(ImportWish(Path("C:/模型\ud800.bin")))
    jobs.add(errand)
    assert jobs.wait(30)
    jobs.close()

    assert [job.errand for job in Jobs(tmp_path, lambda errand, is_cancelled: iter_nothing()).all] == [errand]


def test_closing_does_not_wait_for_a_hub_that_never_answers(tmp_path: Path) -> None:
    answered = threading.Event()

    def ask(errand: Errand, is_cancelled: Callable[[], bool]) -> Work:
        yield WorkProgress("ask", "x")
        answered.wait()

    jobs = Jobs(tmp_path, ask)
    job_id = jobs.add(wish("a/one"))
    wait_until(lambda: (jobs.find(job_id) or jobs.all[0]).progress is not None)

    jobs.close()

    assert not answered.is_set()
    assert [job.state for job in Jobs(tmp_path, ask).all] == ["paused"]
    answered.set()


def until_cancelled(errand: Errand, is_cancelled: Callable[[], bool]) -> Work:
    """Work that comes to its end only when it is told to stop."""
    while not is_cancelled():
        yield WorkProgress("convert", "x", 1, 2)
        time.sleep(0.01)


def test_a_job_that_is_told_to_go_on_while_it_stops_goes_on(tmp_path: Path) -> None:
    stops = threading.Semaphore(0)

    def work(errand: Errand, is_cancelled: Callable[[], bool]) -> Work:
        yield from until_cancelled(errand, is_cancelled)
        stops.acquire()

    seen: list[Job] = []
    jobs = Jobs(tmp_path, work, seen.append)
    job_id = jobs.add(wish("a/one"))
    wait_until(lambda: any(job.state == "running" for job in seen))
    jobs.pause(job_id)
    jobs.resume(job_id)
    seen.clear()
    stops.release()
    wait_until(lambda: any(job.state == "running" and job.progress is not None for job in seen))

    jobs.pause(job_id)
    jobs.resume(job_id)
    jobs.pause(job_id)  # the last word counts
    stops.release()
    assert jobs.wait(30)
    assert [job.state for job in jobs.all] == ["paused"]

    jobs.resume(job_id)
    wait_until(lambda: jobs.all[0].state == "running")
    cancelling = threading.Thread(target=jobs.cancel, args=(job_id,))
    cancelling.start()
    wait_until(lambda: jobs.all[0].is_stopping)
    jobs.resume(job_id)  # too late
    stops.release(2)
    cancelling.join(30)
    assert jobs.all == ()
    assert os.listdir(tmp_path) == []
    jobs.close()


def test_whoever_looks_at_jobs_does_not_wait_for_the_disk(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    jobs = Jobs(tmp_path, lambda errand, is_cancelled: iter_nothing())
    job_id = jobs.add(wish("a/one"))
    assert jobs.wait(30)
    saving, may_save = threading.Event(), threading.Event()

    def save_slowly(folder: Path, record: JobRecord) -> None:
        saving.set()
        may_save.wait(30)

    monkeypatch.setattr("app.models.jobs.save_record", save_slowly)
    resuming = threading.Thread(target=jobs.resume, args=(job_id,))
    resuming.start()
    assert saving.wait(30)
    looked = threading.Thread(target=lambda: (jobs.all, jobs.find(job_id)), daemon=True)
    looked.start()
    looked.join(5)
    assert not looked.is_alive()
    may_save.set()
    resuming.join(30)
    jobs.close()


def test_a_cancelled_job_leaves_alone_what_another_one_is_at(tmp_path: Path) -> None:
    output = tmp_path / "x.gguf"
    part = tmp_path / "x.gguf.part"
    part.write_bytes(b"of the second")

    def work(errand: Errand, is_cancelled: Callable[[], bool]) -> Work:
        yield WorkProgress("download", "x", 1, 2, output=output)

    jobs = Jobs(tmp_path / "jobs", work)
    first, second = jobs.add(wish("a/one")), jobs.add(wish("a/two"))
    assert jobs.wait(30)

    jobs.cancel(first)
    assert part.exists()
    jobs.cancel(second)
    assert not part.exists()
    jobs.close()


def test_a_stopped_job_goes_on_with_another_key(tmp_path: Path) -> None:
    """As a second job, it would find the name of its result claimed by what the first has done."""

    def work(errand: Errand, is_cancelled: Callable[[], bool]) -> Work:
        assert isinstance(errand, Get)
        assert errand.wish is not None
        output = tmp_path / f"{errand.wish.target}-{errand.wish.tokenizer}.gguf"
        yield WorkProgress("convert", "x", 1, 2, commit="c" * 40, output=output)
        if errand.wish.key != "right":
            raise ModelNotFound(str(errand.wish.key), tmp_path, ())
        yield WorkDone(output, 2, None)

    def get(key: str, **changes: str) -> Get:
        return Get("a/one", "a/one", Wish("a/one", key=key, **changes))  # type: ignore[arg-type]

    jobs = Jobs(tmp_path / "jobs", work)
    first = jobs.add(get("wrong"))
    assert jobs.wait(30)
    assert first != jobs.add(get("wrong", target="q8_0"))
    assert first != jobs.add(get("wrong", tokenizer="another"))
    assert jobs.wait(30)

    assert jobs.add(get("right")) == first
    assert jobs.wait(30)

    found = jobs.find(first)
    assert found is not None
    assert found.state == "done"
    assert isinstance(found.errand, Get)
    assert found.errand.wish == Wish("a/one", key="right", revision="c" * 40)
    jobs.close()


def test_a_stopped_job_that_did_nothing_yet_takes_a_tokenizer(tmp_path: Path) -> None:
    def work(errand: Errand, is_cancelled: Callable[[], bool]) -> Work:
        assert isinstance(errand, Get)
        assert errand.wish is not None
        if errand.wish.tokenizer is None:
            yield WorkProgress("convert", "x", 5, 10, ahead_bytes=5)  # nothing that is kept
            raise ModelNotFound("tokenizer", tmp_path, ())
        yield WorkDone(tmp_path / "x.gguf", 2, None)

    jobs = Jobs(tmp_path / "jobs", work)
    first = jobs.add(wish("a/one"))
    assert jobs.wait(30)

    assert jobs.add(Get("a/one", "a/one", Wish("a/one", tokenizer="/tokenizer"))) == first
    assert jobs.wait(30)

    assert [job.state for job in jobs.all] == ["done"]
    jobs.close()


def make_model(path: Path) -> Path:
    write_model(path)
    return path


def wait_until(condition: Callable[[], bool]) -> None:
    while not condition():
        time.sleep(0.02)


def test_it_makes_no_difference_who_chose_the_usual_type(tmp_path: Path) -> None:
    def wait(errand: Errand, is_cancelled: Callable[[], bool]) -> Work:
        while not is_cancelled():
            yield WorkProgress("convert", "x", 5, 10)
            time.sleep(0.01)

    jobs = Jobs(Home(tmp_path).jobs, wait)
    first = jobs.add(Get("a/one", "a/one", Wish("a/one")))
    jobs.pause(first)
    assert jobs.wait(10)
    assert jobs.add(Get("a/one", "a/one", Wish("a/one", target="q4_k_m"))) == first
    assert jobs.add(Get("a/one", "a/one", Wish("a/one", target="q8_0"))) != first
    jobs.close()
