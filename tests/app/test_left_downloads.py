"""`chatbelle models download` left before its end: what is kept, who knows of it, and how it is dropped."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from app.home import Home
from app.models.service import ModelService
from builders.hub import Fault, LocalHub, Seen
from builders.processes import Run, document, python_environment
from engine.models.endpoints import Endpoints

DATA = b"GGUF" + os.urandom(20_000_000)


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


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_it_goes_on_where_it_was(
    hub: LocalHub, environ: dict[str, str], home_folder: Path, chatbelle: Run, number: int
) -> None:
    hub.add("a/one", "model.gguf", DATA)

    code, said = leave(hub, environ, "a/one", home_folder / "models", number)

    assert code == 128 + number
    assert "is kept" in said
    assert "chatbelle models remove one" in said
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


@pytest.mark.parametrize("name", ["one", "a/one", "MODEL.gguf"])
def test_it_is_dropped_by_whatever_it_is_called(
    hub: LocalHub, environ: dict[str, str], home_folder: Path, chatbelle: Run, name: str
) -> None:
    hub.add("a/one", "model.gguf", DATA)
    leave(hub, environ, "a/one", home_folder / "models")

    refused = chatbelle("models", "remove", name)
    assert refused.returncode == 2
    assert "--yes" in refused.stderr
    dropped = document(chatbelle("models", "remove", name, "--yes", "--json"))

    assert (dropped["name"], dropped["outcome"]) == ("one", "given_up")
    assert os.listdir(home_folder / "models") == []
    assert os.listdir(home_folder / "jobs") == []
    assert chatbelle("models", "remove", name, "--yes").returncode == 1


def test_what_another_process_is_at_is_not_dropped(hub: LocalHub, home_folder: Path, chatbelle: Run) -> None:
    hub.add("a/one", "model.gguf", DATA)
    hub.fault = lambda seen: Fault(bytes_per_s=5e5) if seen.server == "lfs" else None
    service = ModelService(Home(home_folder), endpoints=lambda: Endpoints((hub.url,)))
    job_id = service.get("a/one")
    follow = service.follow(job_id)
    while not getattr(next(follow), "done_bytes", 0):
        pass

    refused = chatbelle("models", "remove", "one", "--yes")

    assert refused.returncode == 1
    assert "model.gguf" in refused.stderr
    assert list((home_folder / "models").glob("*.part"))
    hub.fault = lambda seen: None
    hub.settle()
    assert service.jobs.wait(60)
    assert (home_folder / "models" / "model.gguf").read_bytes() == DATA
    service.close()


def test_a_name_that_was_wrong_leaves_nothing(hub: LocalHub, home_folder: Path, chatbelle: Run) -> None:
    result = chatbelle("models", "download", "a/none", env=online(hub))

    assert result.returncode == 1
    assert result.stderr.rstrip().splitlines()[-1].startswith("a/none is not to be found")
    assert os.listdir(home_folder / "jobs") == []
