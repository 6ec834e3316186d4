"""Models of one file name: each is kept under a name of its own, and none is fetched or made twice."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from app.errors import ModelHere
from app.home import Home
from app.models.acquire import Wish
from app.models.errands import Errand, Get, Import, Verify
from app.models.importing import ImportWish
from app.models.jobs import Job
from app.models.service import ModelService
from builders.checkpoints import write_bloom
from builders.gguf_models import write_model, write_split
from builders.hub import Fault, LocalHub
from engine.models.endpoints import Endpoints
from engine.models.errors import ModelChanged
from engine.models.places import find_parts

NAME = "ggml-model-q4_0.gguf"


@pytest.fixture
def hub() -> Iterator[LocalHub]:
    with LocalHub() as hub:
        yield hub


@pytest.fixture
def service(tmp_path: Path, hub: LocalHub) -> Iterator[ModelService]:
    service = ModelService(Home(tmp_path / "数据"), endpoints=lambda: Endpoints((hub.url,)))
    service.home.make(service.home.models)
    yield service
    service.close()


def do(service: ModelService, errand: Errand) -> Job:
    job_id = service.jobs.add(errand)
    assert service.jobs.wait(30)
    job = service.jobs.find(job_id)
    assert job is not None
    return job


def file_of(repo: str, name: str = NAME) -> Get:
    return Get(name, f"{repo}/{name}", Wish(repo, file=name))


def pause_when(service: ModelService, errand: Errand, is_far: Callable[[Job], bool]) -> str:
    """Begin an errand and pause it as soon as it is so far."""
    stop = service.subscribe(lambda event: _pause(service, event, is_far))
    job_id = service.jobs.add(errand)
    assert service.jobs.wait(30)
    stop()
    assert (service.jobs.find(job_id) or service.jobs.all[0]).state == "paused"
    return job_id


def _pause(service: ModelService, event: object, is_far: Callable[[Job], bool]) -> None:
    job = getattr(event, "job", None)
    if isinstance(job, Job) and job.state == "running" and is_far(job):
        service.jobs.pause(job.id)


def models_of(service: ModelService) -> list[str]:
    return sorted(os.listdir(service.library.folder))


def test_a_file_whose_name_is_taken_is_called_after_its_repository(
    service: ModelService, hub: LocalHub
) -> None:
    data = [os.urandom(300_000) for _ in range(4)]  # models of one shape are of one size
    for repo, content in zip(("a/one", "b/two", "c/two", "d/ggml"), data, strict=True):
        hub.add(repo, NAME, content)

    names = [do(service, file_of(repo)).record.output for repo in ("a/one", "b/two", "c/two", "d/ggml")]

    assert [Path(name).name for name in names] == [
        NAME,
        f"two-{NAME}",
        "two-ggml-model-q4_0-2.gguf",
        "ggml-model-q4_0-2.gguf",
    ]
    assert [Path(name).read_bytes() for name in names] == data
    sources = {model.path: model.source for model in service.listing().models}
    assert sources[Path(names[1])] == f"b/two/{NAME}"


def test_a_file_that_is_here_already_is_not_fetched_again(service: ModelService, hub: LocalHub) -> None:
    hub.add("a/one", NAME, os.urandom(300_000))
    hub.add("b/two", NAME, os.urandom(300_000))
    first, second = (do(service, file_of(repo)) for repo in ("a/one", "b/two"))
    hub.seen.clear()

    again = do(service, file_of("b/two"))

    assert again.state == "done"
    assert again.record.output == second.record.output != first.record.output
    assert not any(seen.range for seen in hub.seen)
    assert len(models_of(service)) == 2


def test_the_name_of_an_unfinished_file_is_taken_too(service: ModelService, hub: LocalHub) -> None:
    hub.add("a/one", NAME, os.urandom(3_000_000))
    hub.add("b/two", NAME, os.urandom(3_000_000))
    hub.fault = lambda seen: Fault(bytes_per_s=1_000_000) if seen.server == "lfs" else None
    paused = pause_when(service, file_of("a/one"), lambda job: job.record.done_bytes > 0)
    hub.fault = lambda seen: None

    second = do(service, file_of("b/two"))
    service.jobs.resume(paused)
    assert service.jobs.wait(30)

    assert Path(second.record.output).name == f"two-{NAME}"
    folder = service.library.folder
    assert (folder / NAME).read_bytes() == hub.files["a/one", NAME].data
    assert (folder / f"two-{NAME}").read_bytes() == hub.files["b/two", NAME].data


def test_what_was_begun_under_a_name_goes_on_there(service: ModelService, hub: LocalHub) -> None:
    hub.add("a/one", NAME, os.urandom(300_000))
    hub.add("b/two", NAME, os.urandom(3_000_000))
    first = do(service, file_of("a/one"))
    hub.fault = lambda seen: Fault(bytes_per_s=1_000_000) if seen.server == "lfs" else None
    paused = pause_when(service, file_of("b/two"), lambda job: job.record.done_bytes > 0)
    hub.fault = lambda seen: None
    Path(first.record.output).unlink()

    assert service.jobs.add(file_of("b/two")) == paused
    assert service.jobs.wait(30)

    assert models_of(service) == [f"two-{NAME}"]


def test_a_set_of_files_is_named_together(service: ModelService, hub: LocalHub, tmp_path: Path) -> None:
    names = [f"model-0000{number}-of-00002.gguf" for number in (1, 2)]
    for repo in ("a/one", "b/two"):
        for name in names:
            hub.add(repo, name, os.urandom(200_000))
    (service.library.folder / names[1]).write_bytes(b"mine")

    done = [do(service, file_of(repo, names[0])) for repo in ("a/one", "b/two")]

    for repo, job in zip(("one", "two"), done, strict=True):
        assert job.state == "done"
        found = find_parts(Path(job.record.output))
        assert [part.name for part in found.parts] == [f"{repo}-{name}" for name in names]
    assert (service.library.folder / names[1]).read_bytes() == b"mine"


def test_damage_in_any_file_of_a_set_is_found(service: ModelService, hub: LocalHub, tmp_path: Path) -> None:
    paths = write_split(tmp_path / "away", "split", write_model(tmp_path / "one.gguf"))
    for path in paths:
        hub.add("a/one", path.name, path)
    done = do(service, file_of("a/one", paths[0].name))
    verify = Verify(Path(done.record.output))
    sound = do(service, verify)
    assert sound.state == "done"

    second = service.library.folder / paths[1].name
    data = bytearray(second.read_bytes())
    data[-1] ^= 1
    second.write_bytes(data)

    assert isinstance(do(service, verify).error, ModelChanged)
    assert isinstance(service.listing().models[0].problem, ModelChanged)


def test_a_checkpoint_is_not_converted_twice(service: ModelService, hub: LocalHub, tmp_path: Path) -> None:
    hub.add_folder("BelleGroup/small", write_bloom(tmp_path / "checkpoint", dtype="f16").folder)
    get = Get("small", "BelleGroup/small", Wish("BelleGroup/small", target="q8_0"))
    taken = service.library.folder / "small-q8_0.gguf"
    taken.write_bytes(b"GGUF of somebody else")

    first = do(service, get)
    hub.seen.clear()
    again = do(service, get)

    assert Path(first.record.output).name == "small-q8_0-2.gguf"
    assert again.state == "failed"
    assert isinstance(again.error, ModelHere)
    assert again.error.path == Path(first.record.output)
    assert not any(seen.range for seen in hub.seen)
    assert taken.read_bytes() == b"GGUF of somebody else"


def test_files_of_two_addresses_do_not_share_a_name(
    service: ModelService, hub: LocalHub, tmp_path: Path
) -> None:
    one, two = (
        hub.add(f"a/{name}", NAME, write_model(tmp_path / name, seed=seed).read_bytes())
        for seed, name in enumerate(("one", "two"))
    )
    gets = [
        Get("belle", f"https://{name}", address=f"{hub.lfs_url}/lfs/{file.hash}")
        for name, file in (("one", one), ("two", two))
    ]

    names = [Path(do(service, get).record.output).name for get in (*gets, gets[1])]

    assert names == ["belle.gguf", "belle-2.gguf", "belle-2.gguf"]
    assert models_of(service) == ["belle-2.gguf", "belle.gguf"]


@pytest.mark.parametrize("how", ["copy", "link"])
def test_an_imported_file_whose_name_is_taken_gets_a_number(
    service: ModelService, tmp_path: Path, how: str
) -> None:
    sources = []
    for seed, folder in enumerate(("一", "二", "三")):
        (tmp_path / folder).mkdir()
        sources.append(write_model(tmp_path / folder / NAME, seed=seed))

    for source in sources:
        assert do(service, Import(ImportWish(source, how=how))).state == "done"  # type: ignore[arg-type]

    copies = [
        service.library.folder / name for name in (NAME, "ggml-model-q4_0-2.gguf", "ggml-model-q4_0-3.gguf")
    ]
    assert [path.read_bytes() for path in copies] == [path.read_bytes() for path in sources]


def test_a_checkpoint_imported_without_a_name_gets_a_free_one(service: ModelService, tmp_path: Path) -> None:
    folder = write_bloom(tmp_path / "小模型", dtype="f16").folder
    (service.library.folder / "小模型-q8_0.gguf").write_bytes(b"mine")

    job = do(service, Import(ImportWish(folder, target="q8_0")))

    assert Path(job.record.output).name == "小模型-q8_0-2.gguf"
    assert (service.library.folder / "小模型-q8_0.gguf").read_bytes() == b"mine"
