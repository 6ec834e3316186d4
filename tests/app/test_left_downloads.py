"""`chatbelle models download` left before its end: what is kept, who knows of it, and how it is dropped."""

from __future__ import annotations

import os
import shlex
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from app.home import Home
from app.models.acquire import Wish
from app.models.errands import Get
from app.models.job_records import JobRecord, save_record
from app.models.service import ModelService
from app.models.unfinished import find_unfinished
from builders.hub import Fault, LocalHub, Seen
from builders.processes import Run, document, python_environment
from engine.models.endpoints import Endpoints

DATA = b"GGUF" + os.urandom(20_000_000)
SIGNALS = [getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name)]


@pytest.fixture
def hub() -> Iterator[LocalHub]:
    with LocalHub() as hub:
        yield hub


def online(hub: LocalHub) -> dict[str, str]:
    return {"HF_ENDPOINT": hub.url}


def is_first(seen: Seen) -> bool:
    """Whether the request is for the first bytes of a file, or for none."""
    return seen.server == "hub" or seen.headers["range"].startswith("bytes=0-")


def leave(
    hub: LocalHub, environ: dict[str, str], name: str, folder: Path, number: int = signal.SIGINT
) -> tuple[int, str]:
    """Begin to download, and send a signal once some of it is recorded; the exit code and stderr."""
    hub.fault = lambda seen: None if is_first(seen) else Fault(bytes_per_s=1e5)
    process = subprocess.Popen(
        [sys.executable, "-m", "app.cli", "models", "download", name],
        env=environ | python_environment() | online(hub),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        encoding="utf-8",
    )
    deadline = time.monotonic() + 50
    while not any(len(record.read_bytes().splitlines()) > 1 for record in folder.glob("*.part.blocks")):
        assert time.monotonic() < deadline, "nothing was fetched"
        time.sleep(0.05)
    process.send_signal(number)
    _, said = process.communicate(timeout=50)
    hub.fault = lambda seen: None
    hub.settle()
    return process.returncode, said


@pytest.mark.parametrize("number", SIGNALS)
def test_it_goes_on_where_it_was(
    hub: LocalHub, environ: dict[str, str], home_folder: Path, chatbelle: Run, number: int
) -> None:
    hub.add("a/one", "model.gguf", DATA)

    code, said = leave(hub, environ, "a/one", home_folder / "models", number)

    assert code == 128 + number
    kept, last = said.splitlines()[-2:]
    assert "% of one is kept" in kept
    assert shlex.split(kept.partition("with: ")[2])[3:] == [str(home_folder / "models" / "model.gguf")]
    assert last == "Interrupted."
    (unfinished,) = document(chatbelle("models", "list", "--json"))["unfinished"]
    assert (unfinished["name"], unfinished["path"]) == ("one", str(home_folder / "models" / "model.gguf"))
    assert 0 < unfinished["percent"] < 100
    listed = chatbelle("models", env={"LC_ALL": "zh_CN.UTF-8"}).stderr
    assert f"one 尚未完成：已有 {unfinished['percent']}%" in listed

    before = len(hub.seen)
    done = document(chatbelle("models", "download", "a/one", "--json", env=online(hub)))

    assert Path(done["path"]).read_bytes() == DATA
    fetched = [seen.headers["range"] for seen in hub.seen[before:] if seen.server == "lfs"]
    assert fetched
    assert not any(range.startswith("bytes=0-") for range in fetched)
    assert document(chatbelle("models", "list", "--json"))["unfinished"] == []
    assert os.listdir(home_folder / "jobs") == []


def test_another_model_of_its_name_leaves_it_alone(
    hub: LocalHub, environ: dict[str, str], home_folder: Path, chatbelle: Run
) -> None:
    hub.add("a/one", "model.gguf", DATA)
    hub.add("b/two", "model.gguf", b"GGUF other")
    leave(hub, environ, "a/one", home_folder / "models")
    part = home_folder / "models" / "model.gguf.part"
    before = part.read_bytes()

    other = document(chatbelle("models", "download", "b/two", "--json", env=online(hub)))

    assert Path(other["path"]).name == "two-model.gguf"
    assert part.read_bytes() == before


def test_a_window_that_is_open_already_leaves_it_alone_too(
    hub: LocalHub, environ: dict[str, str], home_folder: Path
) -> None:
    hub.add("a/one", "model.gguf", DATA)
    hub.add("b/two", "model.gguf", b"GGUF other")
    service = ModelService(Home(home_folder), endpoints=lambda: Endpoints((hub.url,)))
    leave(hub, environ, "a/one", home_folder / "models")

    service.get("b/two")

    assert service.jobs.wait(30)
    assert (home_folder / "models" / "two-model.gguf").exists()
    service.close()


def test_the_next_window_goes_on_with_it(hub: LocalHub, environ: dict[str, str], home_folder: Path) -> None:
    hub.add("a/one", "model.gguf", DATA)
    leave(hub, environ, "a/one", home_folder / "models")

    service = ModelService(Home(home_folder), endpoints=lambda: Endpoints((hub.url,)))
    (job,) = service.jobs.all
    assert (job.state, job.title) == ("paused", "one")
    assert job.share
    service.jobs.resume(job.id)

    assert service.jobs.wait(30)
    assert (home_folder / "models" / "model.gguf").read_bytes() == DATA
    service.close()


def test_a_window_that_is_open_already_goes_on_with_it_as_one_job(
    hub: LocalHub, environ: dict[str, str], home_folder: Path
) -> None:
    hub.add("a/one", "model.gguf", DATA)
    service = ModelService(Home(home_folder), endpoints=lambda: Endpoints((hub.url,)))
    leave(hub, environ, "a/one", home_folder / "models")

    service.get("a/one")

    assert service.jobs.wait(30)
    (job,) = service.jobs.all
    assert job.state == "done"
    service.jobs.cancel(job.id)
    assert os.listdir(home_folder / "jobs") == []
    service.close()


def test_it_goes_by_all_of_its_names(tmp_path: Path) -> None:
    home = Home(tmp_path)
    output = home.models / "Model.gguf"
    errand = Get("One", "a/one", Wish("a/one"), catalog_id="belle-one")
    record = JobRecord("a" * 16, errand, "paused", 1.0, 1, 2, str(output))
    save_record(home.make(home.jobs), record)

    for name in ("one", "A/one", "MODEL.gguf", "model", "belle-one", str(output)):
        assert find_unfinished(name, home) == (record,), name
    assert find_unfinished("two", home) == find_unfinished("", home) == ()


def test_it_is_dropped_by_its_name(
    hub: LocalHub, environ: dict[str, str], home_folder: Path, chatbelle: Run
) -> None:
    hub.add("a/one", "model.gguf", DATA)
    leave(hub, environ, "a/one", home_folder / "models")

    refused = chatbelle("models", "remove", "one")
    assert refused.returncode == 2
    assert "--yes" in refused.stderr
    dropped = document(chatbelle("models", "remove", "one", "--yes", "--json"))

    assert (dropped["name"], dropped["outcome"]) == ("one", "given_up")
    assert os.listdir(home_folder / "models") == []
    assert os.listdir(home_folder / "jobs") == []
    assert chatbelle("models", "remove", "one", "--yes").returncode == 1


def test_a_name_of_several_drops_none_of_them(
    hub: LocalHub, environ: dict[str, str], home_folder: Path, chatbelle: Run, tiny_model: Path
) -> None:
    models = home_folder / "models"
    hub.add("a/one", "model.gguf", DATA)
    hub.add("b/one", "model.gguf", DATA[::-1])
    leave(hub, environ, "a/one", models)
    finished = Path(shutil.copyfile(tiny_model, models / "one.gguf"))

    refused = chatbelle("models", "remove", "one", "--yes", "--delete")

    assert refused.returncode == 1
    assert str(finished) in refused.stderr
    assert str(models / "model.gguf") in refused.stderr
    assert finished.exists()
    assert chatbelle("models", "remove", str(models / "model.gguf"), "--yes").returncode == 0
    assert os.listdir(models) == ["one.gguf"]


def test_what_another_process_is_at_is_not_dropped(hub: LocalHub, home_folder: Path, chatbelle: Run) -> None:
    hub.add("a/one", "model.gguf", DATA)
    hub.fault = lambda seen: None if is_first(seen) else Fault(bytes_per_s=1e5)
    service = ModelService(Home(home_folder), endpoints=lambda: Endpoints((hub.url,)))
    job_id = service.get("a/one")
    follow = service.follow(job_id)
    while not getattr(next(follow), "done_bytes", 0):
        pass

    refused = chatbelle("models", "remove", "one", "--yes")
    again = chatbelle("models", "download", "a/one", env=online(hub))

    assert (refused.returncode, again.returncode) == (1, 1)
    assert refused.stderr.startswith("Another ChatBELLE is at work on one.")
    assert "is kept" not in again.stderr
    (listed,) = document(chatbelle("models", "list", "--json"))["unfinished"]
    assert listed["is_at_work"]
    service.close()
    (listed,) = document(chatbelle("models", "list", "--json"))["unfinished"]
    assert not listed["is_at_work"]
    assert list((home_folder / "models").glob("*.part"))


@pytest.mark.parametrize("has_begun", [False, True])
def test_a_name_that_was_wrong_leaves_nothing_but_what_was_there(
    hub: LocalHub, environ: dict[str, str], home_folder: Path, chatbelle: Run, has_begun: bool
) -> None:
    if has_begun:
        hub.add("a/one", "model.gguf", DATA)
        leave(hub, environ, "a/one", home_folder / "models")
        hub.files.clear()
    n_jobs = len(document(chatbelle("models", "list", "--json"))["unfinished"])

    result = chatbelle("models", "download", "a/one", env=online(hub))

    assert result.returncode == 1
    assert result.stderr.rstrip().splitlines()[-1].startswith("a/one is not to be found")
    assert len(document(chatbelle("models", "list", "--json"))["unfinished"]) == n_jobs == has_begun


def test_a_tokenizer_alone_is_no_part_of_the_model(
    hub: LocalHub, home_folder: Path, chatbelle: Run, tiny_checkpoint: Path
) -> None:
    hub.add_folder("BelleGroup/BELLE-7B-2M", tiny_checkpoint)

    result = chatbelle("models", "download", "belle-7b-gptq", env=online(hub))

    assert result.returncode == 1
    assert [seen for seen in hub.file_requests() if seen.name == "tokenizer.json"]
    assert "is kept" not in result.stderr
    assert os.listdir(home_folder / "jobs") == []
