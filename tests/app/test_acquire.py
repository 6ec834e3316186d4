"""Getting models from a hub on loopback: as they are, and converted while they come."""

from __future__ import annotations

import os
import random
import subprocess
import sys
import time
from contextlib import closing
from pathlib import Path

import pytest

from app.errors import ModelFileUnclear, ModelFolderUnclear, NotForGguf
from app.home import Home
from app.models.acquire import Wish, acquire, discard
from app.models.errands import Get, carry_out
from app.models.finding import open_library
from app.models.progress import WorkDone, WorkProgress
from builders.checkpoints import write_bloom, write_llama
from builders.disks import resize_disk
from builders.encrypted import encrypt_folder
from builders.hub import Fault, LocalHub, Seen
from builders.processes import python_environment
from builders.torch_zip import write_torch_zip
from convert.detect import open_checkpoint
from convert.errors import DamagedTensor, KeyNeeded, NotEnoughDisk
from convert.pipeline import convert
from convert.resumable import journal_path, partial_path, read_lines
from engine.models.endpoints import Endpoints
from engine.models.errors import ModelInUse
from engine.models.fetch_errors import NotOnHub, Offline
from engine.models.ranges import WINDOW_BYTES
from engine.models.reply import Patience

REPO = "BelleGroup/BELLE-tiny"
FAST = Patience(connect_s=2, stall_s=3, n_failures=4, backoff_s=0.01)
KEY = bytes(range(256)) * 40


@pytest.fixture
def models(tmp_path: Path) -> Path:
    (tmp_path / "models").mkdir()
    return tmp_path / "models"


def get(wish: Wish, folder: Path, hub: LocalHub) -> tuple[list[WorkProgress], WorkDone]:
    *progress, last = acquire(wish, folder, Endpoints((hub.url,)), patience=FAST, threads=2)
    assert isinstance(last, WorkDone)
    return [event for event in progress if isinstance(event, WorkProgress)], last


def convert_offline(folder: Path, output: Path, target: str = "q4_k_m", key: Path | None = None) -> bytes:
    with open_checkpoint(folder, key=key) as checkpoint:
        list(convert(checkpoint.plan(target, checkpoint.prompt("auto")), output))
    return output.read_bytes()


@pytest.mark.parametrize("form", ["bloom shards", "llama", "torch", "encrypted"])
def test_a_checkpoint_is_converted_while_it_comes(tmp_path: Path, form: str) -> None:
    source, models = tmp_path / "检查点", tmp_path / "模型"
    models.mkdir()
    key = None
    if form == "bloom shards":
        write_bloom(source, dtype="f16", n_shards=2, hidden=256)
    elif form == "llama":
        write_llama(source, hidden=256)
    else:
        checkpoint = write_bloom(source, hidden=256)
        (source / "model.safetensors").unlink()
        write_torch_zip(source / "pytorch_model.bin", checkpoint.weights)
    if form == "encrypted":
        encrypted = tmp_path / "enc"
        encrypt_folder(source, encrypted, KEY)
        source, key = encrypted, tmp_path / "key.pth"
        key.write_bytes(KEY)
    expected = convert_offline(source, tmp_path / "offline.gguf", key=key)
    with LocalHub() as hub:
        hub.add_folder(REPO, source)

        progress, acquired = get(Wish(REPO, key=str(key) if key else None), models, hub)

    assert acquired.path.name == f"{REPO.partition('/')[2]}-q4_k_m.gguf"
    assert acquired.path.read_bytes() == expected
    assert acquired.is_converted
    assert acquired.commit == hub.commit
    assert os.listdir(models) == [acquired.path.name]
    assert [event.phase for event in progress if event.phase == "convert"]
    assert progress[-1].done_bytes == progress[-1].total_bytes


def test_weights_are_fetched_once_and_not_stored(tmp_path: Path) -> None:
    write_bloom(tmp_path / "source", hidden=256, n_tokens=4000)
    size_bytes = (tmp_path / "source" / "model.safetensors").stat().st_size
    with LocalHub() as hub:
        hub.add_folder(REPO, tmp_path / "source")
        get(Wish(REPO), tmp_path, hub)
        asked = [seen.range or "" for seen in hub.file_requests("lfs") if seen.name.startswith("model")]

    ranges = [text.removeprefix("bytes=").split("-") for text in asked]
    n_bytes = sum(int(stop) - int(start) + 1 for start, stop in ranges)
    assert n_bytes < size_bytes * 1.1 + (256 << 10)
    assert sorted(os.listdir(tmp_path)) == [f"{REPO.partition('/')[2]}-q4_k_m.gguf", "source"]


def test_a_source_that_fails_on_the_way_costs_nothing(tmp_path: Path) -> None:
    write_llama(tmp_path / "source", hidden=256)
    expected = convert_offline(tmp_path / "source", tmp_path / "offline.gguf", "q8_0")
    with LocalHub() as first, LocalHub() as second:
        for hub in (first, second):
            hub.add_folder(REPO, tmp_path / "source")
        n_seen = 0

        def fail_often(seen: Seen) -> Fault | None:
            nonlocal n_seen
            n_seen += bool(seen.name)
            faults = {3: Fault(stop_after=1000), 5: Fault(status=500), 7: Fault(status=404)}
            return faults.get(n_seen)

        first.fault = fail_often
        endpoints = Endpoints((first.url, second.url))
        *_, last = acquire(Wish(REPO, target="q8_0"), tmp_path, endpoints, patience=FAST)

    assert isinstance(last, WorkDone)
    assert last.path.read_bytes() == expected


def n_kept(output: Path) -> int:
    """Tensors that an unfinished conversion has on record; a kill at the very end leaves the record only."""
    if not partial_path(output).exists():
        return 0
    return len(read_lines(journal_path(output).read_text().split("\n")[1:]))


def test_killed_at_random_the_model_is_the_same(tmp_path: Path, request: pytest.FixtureRequest) -> None:
    """A kill comes while the hub is asked, tensors are converted, or all is read back; none of them costs a
    tensor. With --run-slow there are a hundred, and models that are finished on the way.
    """
    is_slow = request.config.getoption("--run-slow")
    write_bloom(tmp_path / "source", hidden=256, n_layer=4)
    expected = convert_offline(tmp_path / "source", tmp_path / "offline.gguf")
    models = tmp_path / "模型"
    models.mkdir()
    script = Path(__file__).parents[1] / "builders" / "acquire_process.py"
    n_finished = 0
    with LocalHub() as hub:
        hub.add_folder(REPO, tmp_path / "source")
        hub.fault = lambda seen: Fault(bytes_per_s=4e6) if seen.server == "lfs" else None
        command = [sys.executable, str(script), hub.url, REPO, str(models)]
        output = models / f"{REPO.partition('/')[2]}-q4_k_m.gguf"
        for _ in range(100 if is_slow else 5):
            n_before = n_kept(output)
            process = subprocess.Popen(command, env=python_environment(), stdout=subprocess.PIPE, text=True)
            assert process.stdout is not None
            n_events = random.randrange(2, 130)
            for line in process.stdout:
                n_events -= "phase='resume'" not in line  # of these there are as many as tensors were kept
                if not n_events:
                    break
            process.kill()
            process.communicate()
            if output.exists():
                assert output.read_bytes() == expected
                output.unlink()
                n_finished += 1
            else:
                assert n_kept(output) >= n_before
        hub.fault = lambda seen: None
        get(Wish(REPO), models, hub)

    assert output.read_bytes() == expected
    assert os.listdir(models) == [output.name]
    assert n_finished or not is_slow


def test_the_disk_never_holds_more_than_the_model(tmp_path: Path, models: Path) -> None:
    write_bloom(tmp_path / "source", hidden=256, n_layer=4)
    source_bytes = (tmp_path / "source" / "model.safetensors").stat().st_size
    peak_bytes = n_most_kept = 0
    with LocalHub() as hub:
        hub.add_folder(REPO, tmp_path / "source")
        for event in acquire(Wish(REPO), models, Endpoints((hub.url,)), patience=FAST, threads=2):
            peak_bytes = max(peak_bytes, sum(path.stat().st_size for path in models.iterdir()))
            if isinstance(event, WorkProgress) and event.output is not None:
                n_most_kept = max(n_most_kept, n_kept(event.output))
    assert isinstance(event, WorkDone)

    assert n_most_kept > 20  # it was looked at while there was something to see
    assert peak_bytes <= event.size_bytes + 300 * n_most_kept + (1 << 20)
    assert source_bytes > 2 * (event.size_bytes + (1 << 20))  # more than a copy of it could hide in


@pytest.mark.skipif(sys.platform == "win32", reason="the bound was measured on Unix")
def test_memory_does_not_grow_with_the_checkpoint(tmp_path: Path, models: Path) -> None:
    write_bloom(tmp_path / "source", hidden=2048, n_layer=2, n_head=16)
    assert (tmp_path / "source" / "model.safetensors").stat().st_size > 380 * 2**20
    script = Path(__file__).parents[1] / "builders" / "acquire_process.py"
    with LocalHub() as hub:
        hub.add_folder(REPO, tmp_path / "source")
        command = [sys.executable, str(script), hub.url, REPO, str(models)]
        done = subprocess.run(
            command, env=python_environment(), check=True, stdout=subprocess.PIPE, text=True
        )
    # The converter's bound (see `test_pipeline_process`), what is fetched ahead, and the connections.
    assert int(done.stdout.split()[-1]) < (160 + 32) * 2**20 + WINDOW_BYTES


def test_wrong_bytes_of_a_pytorch_file_are_noticed(tmp_path: Path, models: Path) -> None:
    """Its storages have CRCs; only the tensor that is wrong is read again."""
    checkpoint = write_bloom(tmp_path / "source", hidden=256, n_layer=2)
    (tmp_path / "source" / "model.safetensors").unlink()
    file = tmp_path / "source" / "pytorch_model.bin"
    write_torch_zip(file, checkpoint.weights)
    expected = convert_offline(tmp_path / "source", tmp_path / "offline.gguf")
    name = next(name for name in checkpoint.weights if name.endswith("h.1.mlp.dense_h_to_4h.weight"))
    start = file.read_bytes().index(checkpoint.weights[name].tobytes())
    with LocalHub() as hub:
        hub.add_folder(REPO, tmp_path / "source")
        hub.fault = lambda seen: Fault(flip_at=start + 4 * 256 + 1) if seen.server == "lfs" else None
        with pytest.raises(DamagedTensor) as damaged:
            get(Wish(REPO), models, hub)
        output = models / f"{REPO.partition('/')[2]}-q4_k_m.gguf"
        n_before = n_kept(output)
        hub.fault = lambda seen: None
        progress, done = get(Wish(REPO), models, hub)

    assert (damaged.value.path.name, damaged.value.tensor) == ("pytorch_model.bin", name)
    assert n_before > 5
    converting = [event for event in progress if event.phase == "convert"]
    assert converting[0].n_tensors_done >= n_before
    assert done.path.read_bytes() == expected


def test_a_path_is_held_while_it_is_converted_to(tmp_path: Path) -> None:
    write_llama(tmp_path / "source", hidden=256)
    home = Home(tmp_path / "家")
    errand = Get("tiny", REPO, Wish(REPO))
    with LocalHub() as hub:
        hub.add_folder(REPO, tmp_path / "source")
        endpoints = Endpoints((hub.url,))
        with closing(carry_out(errand, home, endpoints)) as events:
            event = next(event for event in events if getattr(event, "phase", "") == "convert")
            assert isinstance(event, WorkProgress)
            assert event.output is not None
            others = carry_out(errand, home, endpoints)
            with pytest.raises(ModelInUse):
                list(others)
        with open_library(home).held(event.output):
            pass


def test_a_disk_that_fills_up_on_the_way_keeps_what_is_done(
    tmp_path: Path, small_disk: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_bloom(tmp_path / "source", hidden=256, n_layer=4)
    expected = convert_offline(tmp_path / "source", tmp_path / "offline.gguf", "q8_0")
    resize_disk(small_disk, f"{len(expected) * 3 // 4 >> 10}k")
    wish = Wish(REPO, target="q8_0")
    with LocalHub() as hub:
        hub.add_folder(REPO, tmp_path / "source")
        with pytest.raises(NotEnoughDisk):  # before anything is fetched
            get(wish, small_disk, hub)
        assert os.listdir(small_disk) == []

        usage = type("Usage", (), {"free": 1 << 40})()
        monkeypatch.setattr("convert.output.shutil.disk_usage", lambda path: usage)
        with pytest.raises(NotEnoughDisk):  # something else has filled it meanwhile
            get(wish, small_disk, hub)
        monkeypatch.undo()
        resize_disk(small_disk, "32m")
        progress, done = get(wish, small_disk, hub)

    assert [event for event in progress if event.phase == "resume"]
    assert done.path.read_bytes() == expected
    assert os.listdir(small_disk) == [done.path.name]


def test_cancelling_ends_at_once_and_keeps_what_is_done(tmp_path: Path) -> None:
    write_bloom(tmp_path / "source", hidden=256)
    with LocalHub() as hub:
        hub.add_folder(REPO, tmp_path / "source")
        hub.fault = lambda seen: Fault(bytes_per_s=200) if seen.server == "lfs" else None
        started_s = time.monotonic()
        cancelled = {"now": False}
        events = acquire(Wish(REPO), tmp_path, Endpoints((hub.url,)), is_cancelled=lambda: cancelled["now"])
        next(events)
        cancelled["now"] = True
        assert list(events) == []
        assert time.monotonic() - started_s < 20  # the file would take hours

        hub.fault = lambda seen: None
        _, acquired = get(Wish(REPO), tmp_path, hub)
        assert acquired.path.exists()


@pytest.mark.parametrize(
    ("names", "wish", "expected"),
    [
        (["a.gguf"], Wish(REPO), ["a.gguf"]),
        (["belle-q4_k_m.gguf", "belle-q8_0.gguf"], Wish(REPO), ["belle-q4_k_m.gguf"]),
        (["belle-q4_k_m.gguf", "belle-q8_0.gguf"], Wish(REPO, file="belle-q8_0.gguf"), ["belle-q8_0.gguf"]),
        (
            ["b-00001-of-00002.gguf", "b-00002-of-00002.gguf"],
            Wish(REPO),
            ["b-00001-of-00002.gguf", "b-00002-of-00002.gguf"],
        ),
    ],
)
def test_gguf_files_are_fetched_as_they_are(
    tmp_path: Path, names: list[str], wish: Wish, expected: list[str]
) -> None:
    with LocalHub() as hub:
        for name in names:
            hub.add(REPO, name, b"GGUF" + os.urandom(200_000))
        progress, acquired = get(wish, tmp_path, hub)
        assert sorted(os.listdir(tmp_path)) == expected
        assert acquired.path == tmp_path / expected[0]
        for name in expected:
            assert (tmp_path / name).read_bytes() == hub.files[REPO, name].data
    assert not acquired.is_converted
    assert {event.n_tensors for event in progress} == {0}


@pytest.mark.parametrize("wish", [Wish(REPO, target="q8_0"), Wish(REPO, key="k"), Wish(REPO, tokenizer="t")])
def test_what_only_a_conversion_gives_is_not_asked_of_a_gguf(
    tmp_path: Path, models: Path, wish: Wish
) -> None:
    with LocalHub() as hub:
        hub.add(REPO, "belle-f16.gguf", b"GGUF" + os.urandom(2000))
        with pytest.raises(NotForGguf) as refused:
            get(wish, models, hub)
        assert refused.value.name == f"{REPO}/belle-f16.gguf"
        assert not hub.file_requests()

        write_llama(tmp_path / "source", hidden=256)
        hub.add_folder(REPO, tmp_path / "source")  # that can be converted
        _, done = get(Wish(REPO, target="q8_0"), models, hub)
        _, fetched = get(Wish(REPO, target="f16"), models, hub)

    assert done.is_converted
    assert fetched.path.name == "belle-f16.gguf"


def test_a_set_outlasts_an_outage_between_its_files(models: Path) -> None:
    parts = [os.urandom(3_000_000), os.urandom(2_000_000)]
    is_gone = is_back = False
    with LocalHub() as hub:
        for i, data in enumerate(parts, 1):
            hub.add(REPO, f"x-0000{i}-of-00002.gguf", data)
        work = acquire(Wish(REPO), models, Endpoints((hub.url,)), patience=Patience(backoff_s=1))
        for event in work:
            if not isinstance(event, WorkProgress):
                continue
            if event.done_bytes == len(parts[0]) and not is_gone:
                hub.close()
                is_gone = True
            elif is_gone and event.waiting_s and not is_back:
                hub.reopen()
                is_back = True
    assert is_back
    assert [path.read_bytes() for path in sorted(models.glob("*.gguf"))] == parts


def test_what_is_unclear_is_asked(tmp_path: Path) -> None:
    with LocalHub() as hub:
        for name in ("a.gguf", "b.gguf", "c-00001-of-00002.gguf"):
            hub.add(REPO, name, b"GGUF")
        for wish in (Wish(REPO), Wish(REPO, file="d.gguf"), Wish(REPO, file="c-00001-of-00002.gguf")):
            with pytest.raises(ModelFileUnclear) as unclear:
                get(wish, tmp_path, hub)
            assert unclear.value.known == ("a.gguf", "b.gguf", "c-00001-of-00002.gguf")


def add_folder(hub: LocalHub, folder: Path, name: str) -> None:
    for path in folder.iterdir():
        hub.add(REPO, f"{name}/{path.name}", path)


def test_a_checkpoint_in_a_folder_of_the_repository_is_converted(tmp_path: Path, models: Path) -> None:
    write_llama(tmp_path / "a", hidden=256, seed=1)
    write_llama(tmp_path / "b", hidden=256, seed=2)
    with LocalHub() as hub:
        add_folder(hub, tmp_path / "a", "sets/甲")
        add_folder(hub, tmp_path / "b", "sets/乙")
        for name, folder in (("甲", "a"), ("乙", "b")):
            _, done = get(Wish(REPO, subfolder=f"sets/{name}"), models, hub)
            assert done.path.name == f"BELLE-tiny-sets-{name}-q4_k_m.gguf"
            expected = convert_offline(tmp_path / folder, tmp_path / f"{folder}.gguf")
            assert done.path.read_bytes() == expected


@pytest.mark.parametrize("wish", [Wish(REPO), Wish(REPO, subfolder="c"), Wish(REPO, file="a.pt")])
def test_where_the_models_are_in_folders_they_are_named(tmp_path: Path, models: Path, wish: Wish) -> None:
    write_llama(tmp_path / "source")
    with LocalHub() as hub:
        hub.add(REPO, "README.md", b"two models")
        for name in ("a", "b"):
            add_folder(hub, tmp_path / "source", name)
        with pytest.raises(ModelFolderUnclear) as unclear:
            get(wish, models, hub)

    assert unclear.value.known == ("a", "b")
    assert os.listdir(models) == []


def test_a_file_in_a_folder_is_taken_from_there(tmp_path: Path, models: Path) -> None:
    write_llama(tmp_path / "source", hidden=256)
    expected = convert_offline(tmp_path / "source", tmp_path / "offline.gguf")
    with LocalHub() as hub:
        add_folder(hub, tmp_path / "source", "a")
        hub.add(REPO, "b/x.gguf", b"GGUF" + bytes(100))
        hub.add(REPO, "y.gguf", b"GGUF" + bytes(200))
        _, done = get(Wish(REPO, file="a/model.safetensors"), models, hub)
        assert done.path.read_bytes() == expected
        _, fetched = get(Wish(REPO, subfolder="b"), models, hub)

    assert fetched.path.name == "x.gguf"
    assert fetched.size_bytes == 104


def test_a_type_that_only_says_to_keep_the_weights_is_not_in_the_name(tmp_path: Path, models: Path) -> None:
    write_llama(tmp_path / "source", hidden=256)
    with LocalHub() as hub:
        hub.add_folder(REPO, tmp_path / "source")
        _, done = get(Wish(REPO, target="auto"), models, hub)

    assert done.path.name == "BELLE-tiny.gguf"


def test_errors_come_through(tmp_path: Path) -> None:
    with LocalHub() as hub:
        with pytest.raises(NotOnHub):
            get(Wish("nobody/nothing"), tmp_path, hub)
        hub.add(REPO, f"pytorch_model.bin.{'a' * 64}.enc", b"x" * 100)
        with pytest.raises(KeyNeeded):
            get(Wish(REPO), tmp_path, hub)
    with pytest.raises(Offline):
        get(Wish(REPO), tmp_path, hub)
    assert os.listdir(tmp_path) == []


def test_discarding_removes_what_is_unfinished(tmp_path: Path) -> None:
    output = tmp_path / "a.gguf"
    partial_path(output).write_bytes(b"x")
    discard(output)
    assert os.listdir(tmp_path) == []
