"""The demo's GGUF: made once, made again when damaged or outdated, by several processes at a time."""

from __future__ import annotations

import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from app.demo_model import prepare_demo
from app.errors import DataFolderNotWritable, DemoMissing
from app.home import Home
from engine.gguf_header import read_gguf_header

ROOT = Path(__file__).resolve().parents[2]


class Announcements:
    """Counts how often making it was announced."""

    def __init__(self) -> None:
        self.count = 0

    def __call__(self) -> None:
        self.count += 1


@pytest.fixture
def home(tmp_path: Path) -> Home:
    return Home(tmp_path / "数据")


def test_it_is_made_once(home: Home, tiny_checkpoint: Path) -> None:
    announced = Announcements()

    path = prepare_demo(home, announced, tiny_checkpoint)
    made_at = path.stat().st_mtime_ns

    assert prepare_demo(home, announced, tiny_checkpoint) == path
    assert announced.count == 1
    assert path.stat().st_mtime_ns == made_at
    header = read_gguf_header(path)
    assert header.architecture == "bloom"
    assert header.text("general.name") == "ChatBELLE demo"


@pytest.mark.parametrize("damage", ["cut", "flipped bit", "missing", "digest missing", "digest damaged"])
def test_a_damaged_one_is_made_again(home: Home, tiny_checkpoint: Path, damage: str) -> None:
    path = prepare_demo(home, Announcements(), tiny_checkpoint)
    good = path.read_bytes()
    digest_path = path.with_suffix(".sha256")
    match damage:
        case "cut":
            path.write_bytes(good[: len(good) // 2])
        case "flipped bit":
            path.write_bytes(good[:-5] + bytes([good[-5] ^ 1]) + good[-4:])
        case "missing":
            path.unlink()
        case "digest missing":
            digest_path.unlink()
        case "digest damaged":
            digest_path.write_bytes(b"\xff\xfe")
    announced = Announcements()

    assert prepare_demo(home, announced, tiny_checkpoint) == path

    assert announced.count == 1
    assert path.read_bytes() == good


def test_a_new_checkpoint_replaces_the_old_demo(home: Home, tiny_checkpoint: Path, tmp_path: Path) -> None:
    old = prepare_demo(home, Announcements(), tiny_checkpoint)
    newer = tmp_path / "newer"
    shutil.copytree(tiny_checkpoint, newer)
    weights = newer / "model.safetensors"
    data = bytearray(weights.read_bytes())
    data[-2] ^= 1
    weights.write_bytes(data)

    new = prepare_demo(home, Announcements(), newer)

    assert new != old
    assert sorted(home.demo.iterdir()) == sorted([new, new.with_suffix(".sha256")])


def test_a_checkpoint_in_an_archive_is_as_good(home: Home, tiny_checkpoint: Path, tmp_path: Path) -> None:
    archive = tmp_path / "app.zip"
    with zipfile.ZipFile(archive, "w") as file:
        for path in tiny_checkpoint.iterdir():
            file.write(path, f"demo/{path.name}")

    from_archive = prepare_demo(home, Announcements(), zipfile.Path(archive, "demo/"))

    made = from_archive.read_bytes()
    from_archive.unlink()
    assert prepare_demo(home, Announcements(), tiny_checkpoint) == from_archive
    assert from_archive.read_bytes() == made


@pytest.fixture
def ready_made(home: Home, tiny_checkpoint: Path, tmp_path: Path) -> Path:
    """The demo's folder of a bundle: the GGUF and its digest, no checkpoint."""
    folder = tmp_path / "bundle"
    folder.mkdir()
    made = prepare_demo(home, Announcements(), tiny_checkpoint)
    for path in (made, made.with_suffix(".sha256")):
        path.rename(folder / path.name)
    home.demo.rmdir()
    return folder


def test_a_bundles_ready_demo_is_used_where_it_lies(home: Home, ready_made: Path) -> None:
    announced = Announcements()

    path = prepare_demo(home, announced, ready_made)

    assert path.parent == ready_made
    assert announced.count == 0
    assert not home.demo.exists()


@pytest.mark.parametrize("damage", ["cut", "digest missing"])
def test_a_damaged_demo_of_a_bundle_is_said(home: Home, ready_made: Path, damage: str) -> None:
    (path,) = ready_made.glob("*.gguf")
    if damage == "cut":
        path.write_bytes(path.read_bytes()[:-1])
    else:
        path.with_suffix(".sha256").unlink()

    with pytest.raises(DemoMissing) as missing:
        prepare_demo(home, Announcements(), ready_made)

    assert missing.value.path == str(path)


def test_several_processes_may_make_it_at_once(home: Home, tiny_checkpoint: Path) -> None:
    script = (
        "import sys; from pathlib import Path\n"
        "from app.demo_model import prepare_demo; from app.home import Home\n"
        "sys.stdin.read()\n"
        "print(prepare_demo(Home(Path(sys.argv[1])), lambda: None, Path(sys.argv[2])).name)"
    )
    command = [sys.executable, "-c", script, str(home.root), str(tiny_checkpoint)]
    processes = [
        subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, cwd=ROOT) for _ in range(3)
    ]
    for process in processes:
        assert process.stdin is not None
        process.stdin.close()

    names = set()
    for process in processes:
        assert process.stdout is not None
        names.add(process.stdout.read())
        assert process.wait(60) == 0
        process.stdout.close()

    assert len(names) == 1
    assert len(list(home.demo.iterdir())) == 2


def test_an_installation_without_the_checkpoint_says_so(home: Home, tmp_path: Path) -> None:
    with pytest.raises(DemoMissing):
        prepare_demo(home, Announcements(), tmp_path)


def test_a_data_folder_that_cannot_be_written_is_named(tiny_checkpoint: Path, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")

    with pytest.raises(DataFolderNotWritable):
        prepare_demo(Home(tmp_path / "file"), Announcements(), tiny_checkpoint)
