"""Decrypting to files: verified before they get their names, and nothing left behind otherwise."""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from builders.checkpoints import write_llama
from builders.encrypted import encrypt_folder, write_encrypted
from convert import decrypt as decrypt_module
from convert.decrypt import Decrypted, DecryptProgress, decrypt, verify, verify_key
from convert.errors import (
    ConvertError,
    DamagedEncryptedFile,
    KeyHashMismatch,
    KeyIsEncrypted,
    MissingEncryptedShard,
    NotEncrypted,
    NotEnoughDisk,
    OutputExists,
    OutputNotWritable,
    SourceMissing,
    WrongKey,
)
from convert.sources.xor import XorSource
from convert.sources.xor_folder import EncryptedFolder

ROOT = Path(__file__).resolve().parents[2]
KEY = np.random.default_rng(3).bytes(70_001)
LARGE = np.random.default_rng(4).bytes((5 << 20) + 321)


@pytest.fixture
def key(tmp_path: Path) -> Path:
    path = tmp_path / "consolidated.00.pth"
    path.write_bytes(KEY)
    return path


@pytest.fixture
def encrypted(tmp_path: Path) -> Path:
    """An encrypted checkpoint; the plain one is beside it."""
    write_llama(tmp_path / "plain", n_shards=2)
    encrypt_folder(tmp_path / "plain", tmp_path / "加密 文件", KEY)
    return tmp_path / "加密 文件"


def files(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()} if folder.exists() else {}


def finish(events: Iterator[DecryptProgress | Decrypted]) -> tuple[list[DecryptProgress], Decrypted]:
    *progress, last = events
    assert isinstance(last, Decrypted)
    assert all(isinstance(event, DecryptProgress) for event in progress)
    return [event for event in progress if isinstance(event, DecryptProgress)], last


def test_a_folder_becomes_the_plain_folder(tmp_path: Path, encrypted: Path, key: Path) -> None:
    output = tmp_path / "新建" / "文件夹"
    progress, result = finish(decrypt(encrypted, key, output))
    plain = files(tmp_path / "plain")
    assert files(output) == plain
    assert {path.name for path in result.paths} == plain.keys()
    assert result.size_bytes == sum(map(len, plain.values()))
    assert [event.done_bytes for event in progress] == sorted(event.done_bytes for event in progress)
    assert progress[-1].done_bytes == progress[-1].total_bytes == result.size_bytes
    assert {event.name for event in progress} == plain.keys()
    assert [event.n_files_done for event in progress] == list(range(len(plain)))


def test_one_file_is_decrypted_in_blocks(tmp_path: Path, key: Path) -> None:
    path = write_encrypted(tmp_path, "模型.bin", LARGE, KEY)
    progress, result = finish(decrypt(path, key, tmp_path / "out"))
    assert files(tmp_path / "out") == {"模型.bin": LARGE}
    assert result.paths == (tmp_path / "out" / "模型.bin",)
    assert len(progress) == 6


def test_an_empty_file_and_the_folder_itself_as_output(tmp_path: Path, key: Path) -> None:
    folder = tmp_path / "folder"
    folder.mkdir()
    path = write_encrypted(folder, "empty.txt", b"", KEY)
    finish(decrypt(folder, key, folder))
    assert files(folder) == {"empty.txt": b"", path.name: path.read_bytes()}


def refuse(source: Path, key: Path, output: Path, error: type[ConvertError]) -> ConvertError:
    """Decrypting raises exactly this, and leaves the output as it was."""
    before = files(output)
    existed = output.exists()
    with pytest.raises(error) as refused:
        list(decrypt(source, key, output))
    assert type(refused.value) is error
    assert files(output) == before
    assert output.exists() == existed
    return refused.value


@pytest.mark.parametrize("whole_folder", [True, False])
def test_a_wrong_key_leaves_nothing_and_names_both_hashes(
    tmp_path: Path, encrypted: Path, key: Path, whole_folder: bool
) -> None:
    key.write_bytes(KEY[::-1])
    source = encrypted if whole_folder else next(encrypted.glob("config.json.*"))
    error = refuse(source, key, tmp_path / "out" / "deeper", WrongKey)
    assert not (tmp_path / "out").exists()
    assert isinstance(error, WrongKey)
    assert len(error.expected_hash) == len(error.found_hash) == 64
    assert error.expected_hash != error.found_hash


def test_a_damaged_large_file_is_noticed_at_its_end_and_nothing_is_left(
    tmp_path: Path, key: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("convert.sources.xor_folder._HASHED_BYTES", 100)
    folder = tmp_path / "folder"
    folder.mkdir()
    write_encrypted(folder, "config.json", b"{}", KEY)
    path = write_encrypted(
        folder, "pytorch_model.bin", b"PK\x03\x04" + LARGE + b"PK\x05\x06" + bytes(18), KEY
    )
    with path.open("r+b") as file:
        file.seek(1000)
        file.write(b"\0\0\0")
    refuse(folder, key, tmp_path / "out", DamagedEncryptedFile)


def test_a_large_file_with_a_wrong_key_still_gets_both_hashes(
    tmp_path: Path, key: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("convert.sources.xor_folder._HASHED_BYTES", 100)
    path = write_encrypted(tmp_path, "model.bin", b"PK\x03\x04" + LARGE + b"PK\x05\x06" + bytes(18), KEY)
    other = tmp_path / "other"
    other.write_bytes(KEY[::-1])
    with monkeypatch.context() as patch:
        patch.setattr("convert.decrypt.PendingOutput", None)  # nothing is written for it
        error = refuse(path, other, tmp_path / "out", WrongKey)
    assert isinstance(error, WrongKey)
    assert error.expected_hash == path.name.split(".")[-2]
    finish(decrypt(path, key, tmp_path / "out"))


def test_a_file_that_is_not_what_its_name_says_is_decrypted_all_the_same(
    tmp_path: Path, key: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("convert.sources.xor_folder._HASHED_BYTES", 100)
    path = write_encrypted(tmp_path, "model.bin", LARGE, KEY)
    progress, result = finish(decrypt(path, key, tmp_path / "out"))
    assert files(tmp_path / "out") == {"model.bin": LARGE}
    assert progress[-1].done_bytes == progress[-1].total_bytes == 2 * len(LARGE)
    assert result.size_bytes == len(LARGE)


def test_existing_outputs_stay_unless_forced(tmp_path: Path, encrypted: Path, key: Path) -> None:
    output = tmp_path / "out"
    output.mkdir()
    (output / "config.json").write_bytes(b"mine")
    (output / "other.txt").write_bytes(b"mine too")
    error = refuse(encrypted, key, output, OutputExists)
    assert isinstance(error, OutputExists)
    assert error.path == output / "config.json"
    finish(decrypt(encrypted, key, output, force=True))
    assert files(output) == {**files(tmp_path / "plain"), "other.txt": b"mine too"}


def test_what_can_not_be_decrypted_is_told_apart(tmp_path: Path, encrypted: Path, key: Path) -> None:
    output = tmp_path / "out"
    refuse(tmp_path / "plain", key, output, NotEncrypted)
    refuse(tmp_path / "plain" / "config.json", key, output, NotEncrypted)
    refuse(tmp_path / "nowhere", key, output, SourceMissing)
    refuse(encrypted, tmp_path / "nowhere", output, SourceMissing)
    refuse(encrypted, next(encrypted.iterdir()), output, KeyIsEncrypted)
    (tmp_path / "file").touch()
    with pytest.raises(OutputNotWritable):
        list(decrypt(encrypted, key, tmp_path / "file"))
    next(encrypted.glob("model-00001-*")).unlink()
    error = refuse(encrypted, key, output, MissingEncryptedShard)
    assert isinstance(error, MissingEncryptedShard)
    assert error.shard == "model-00001-of-00002.safetensors"


def test_a_full_disk_is_noticed_before_anything_is_written(
    tmp_path: Path, encrypted: Path, key: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    usage = shutil.disk_usage(tmp_path)._replace(free=1000)
    monkeypatch.setattr("shutil.disk_usage", lambda _: usage)
    error = refuse(encrypted, key, tmp_path / "out", NotEnoughDisk)
    assert isinstance(error, NotEnoughDisk)
    assert error.needed_bytes == sum(map(len, files(tmp_path / "plain").values()))
    assert error.free_bytes == 1000


@pytest.mark.parametrize("n_blocks", [0, 1, 3, 5])
def test_cancelling_or_closing_leaves_nothing(tmp_path: Path, key: Path, n_blocks: int) -> None:
    path = write_encrypted(tmp_path, "a.bin", LARGE, KEY)
    asked = iter([False] * n_blocks + [True] * 10)
    events = list(decrypt(path, key, tmp_path / "out", is_cancelled=lambda: next(asked)))
    assert len(events) == n_blocks
    assert not (tmp_path / "out").exists()
    running = decrypt(path, key, tmp_path / "out")
    for _ in range(n_blocks):
        next(running)
    running.close()  # type: ignore[attr-defined]
    assert not (tmp_path / "out").exists()


def test_an_error_while_reading_or_writing_leaves_nothing(
    tmp_path: Path, key: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = write_encrypted(tmp_path, "a.bin", LARGE, KEY)
    with monkeypatch.context() as patch:

        def fail(*_: object) -> None:
            raise OutputNotWritable(path, "worn out")

        patch.setattr("convert.output.PendingOutput.write", fail)
        refuse(path, key, tmp_path / "out", OutputNotWritable)
    read_at = XorSource.read_at

    def fail_later(self: XorSource, offset: int, size: int) -> bytes:
        if offset > 3 << 20 and size == decrypt_module._BLOCK_BYTES:  # noqa: SLF001
            raise SourceMissing(self.path, "unplugged")
        return read_at(self, offset, size)

    monkeypatch.setattr("convert.sources.xor_folder._HASHED_BYTES", 100)
    monkeypatch.setattr(XorSource, "read_at", fail_later)
    refuse(path, key, tmp_path / "out", SourceMissing)


CHILD = """
import sys
from pathlib import Path
from convert.decrypt import decrypt
source, key, output, stop_at = sys.argv[1:]
for number, event in enumerate(decrypt(Path(source), Path(key), Path(output))):
    if number == int(stop_at):
        print("here", flush=True)
        sys.stdin.read()
"""


@pytest.mark.skipif(os.name == "nt", reason="no SIGKILL")
def test_a_killed_run_leaves_no_output_and_the_next_one_cleans_up(tmp_path: Path, key: Path) -> None:
    folder, output = tmp_path / "folder", tmp_path / "out"
    folder.mkdir()
    write_encrypted(folder, "config.json", b"{}", KEY)
    write_encrypted(folder, "模型.bin", LARGE, KEY)
    for stop_at in (0, 1, 3, 5, 6):
        command = [sys.executable, "-c", CHILD, str(folder), str(key), str(output), str(stop_at)]
        with subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as child:
            assert child.stdout is not None
            assert child.stdout.readline() == b"here\n"
            child.kill()
        assert [name for name in files(output) if not name.startswith(".chatbelle-")] == []
    finish(decrypt(folder, key, output))
    assert files(output) == {"config.json": b"{}", "模型.bin": LARGE}


# Checks without writing.


def test_a_folder_can_be_verified_without_writing(tmp_path: Path, encrypted: Path, key: Path) -> None:
    before = files(encrypted)
    with EncryptedFolder(encrypted, key) as folder:
        *_, last = verify(folder)
        assert last.done_bytes == last.total_bytes
        assert list(verify(folder, is_cancelled=lambda: True)) == []
    path = next(encrypted.glob("model-00001-*"))
    path.write_bytes(path.read_bytes()[:-1] + b"\0")
    with EncryptedFolder(encrypted, key) as folder, pytest.raises(DamagedEncryptedFile):
        list(verify(folder))
    assert files(encrypted).keys() == before.keys()


def test_a_key_can_be_checked_by_its_published_hash(key: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(KeyHashMismatch) as mismatch:
        list(verify_key(key))
    assert mismatch.value.expected_md5 == "6efc8dab194ab59e49cd24be5574d85e"
    assert mismatch.value.found_md5 == hashlib.md5(KEY).hexdigest()
    monkeypatch.setattr(decrypt_module, "LLAMA1_7B_MD5", mismatch.value.found_md5)
    *_, last = verify_key(key)
    assert last.done_bytes == last.total_bytes == len(KEY)
