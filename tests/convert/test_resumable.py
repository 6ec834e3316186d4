"""Conversions that go on where they were stopped, and give the bytes of an uninterrupted one."""

from __future__ import annotations

import hashlib
import json
import os
import random
import subprocess
import sys
from pathlib import Path

import pytest

from builders.processes import python_environment
from builders.shaped_models import bloom_shaped
from convert.errors import DamagedTensor, NotEnoughDisk, OutputInUse, VerificationFailed
from convert.output import PendingOutput
from convert.pipeline import Converted, Plan, Progress, convert
from convert.resumable import ResumableOutput, discard_partial, journal_path, partial_path, read_lines

SCRIPT = Path(__file__).parents[1] / "builders" / "generated_conversion.py"


def run(plan: Plan, output: Path, resume_id: str | None = "a@1") -> list[Progress | Converted]:
    return list(convert(plan, output, resume_id=resume_id, threads=2))


def stop_after(plan: Plan, output: Path, n_tensors: int, resume_id: str = "a@1") -> None:
    """Convert until so many tensors are done, then leave."""
    events = convert(plan, output, resume_id=resume_id, threads=2)
    for event in events:
        if isinstance(event, Progress) and event.phase == "convert" and event.n_tensors_done >= n_tensors:
            break
    events.close()  # type: ignore[attr-defined]


def phases(events: list[Progress | Converted]) -> list[str]:
    return list(dict.fromkeys(event.phase for event in events if isinstance(event, Progress)))


def first_converted(events: list[Progress | Converted]) -> Progress:
    return next(event for event in events if isinstance(event, Progress) and event.phase == "convert")


@pytest.fixture(scope="module")
def plan() -> Plan:
    return bloom_shaped(256, 2).plan("q4_k_m")


@pytest.fixture(scope="module")
def whole(plan: Plan, tmp_path_factory: pytest.TempPathFactory) -> bytes:
    output = tmp_path_factory.mktemp("whole") / "a.gguf"
    run(plan, output, None)
    return output.read_bytes()


@pytest.mark.parametrize("n_tensors", [0, 1, 7])
def test_a_stopped_conversion_goes_on_and_gives_the_same_bytes(
    plan: Plan, whole: bytes, tmp_path: Path, n_tensors: int
) -> None:
    output = tmp_path / "模型.gguf"
    stop_after(plan, output, n_tensors)
    assert partial_path(output).exists()
    assert not output.exists()

    events = run(plan, output)

    assert output.read_bytes() == whole
    assert first_converted(events).n_tensors_done >= n_tensors
    assert os.listdir(tmp_path) == [output.name]
    assert isinstance(events[-1], Converted)
    assert events[-1].sha256 == hashlib.sha256(whole).hexdigest()


def test_another_checkpoint_or_type_starts_anew(plan: Plan, whole: bytes, tmp_path: Path) -> None:
    output = tmp_path / "a.gguf"
    stop_after(bloom_shaped(256, 2).plan("q8_0"), output, 5)
    stop_after(plan, output, 5, resume_id="another")

    events = run(plan, output)

    assert "resume" not in phases(events)
    assert first_converted(events).n_tensors_done <= 1
    assert output.read_bytes() == whole


def test_damaged_tensors_are_converted_again(plan: Plan, whole: bytes, tmp_path: Path) -> None:
    output = tmp_path / "a.gguf"
    stop_after(plan, output, 6)
    recorded = read_lines(journal_path(output).read_text().split("\n")[1:])
    with partial_path(output).open("r+b") as file:
        file.seek(recorded[2].end_bytes + 3)
        byte = file.read(1)[0]
        file.seek(recorded[2].end_bytes + 3)
        file.write(bytes([byte ^ 4]))

    events = run(plan, output)

    assert 3 <= first_converted(events).n_tensors_done <= 4
    assert output.read_bytes() == whole


@pytest.mark.parametrize("damage", ["torn line", "no journal", "not JSON", "short file", "other header"])
def test_a_broken_record_costs_work_but_no_correctness(
    plan: Plan, whole: bytes, tmp_path: Path, damage: str
) -> None:
    output = tmp_path / "a.gguf"
    stop_after(plan, output, 6)
    journal, partial = journal_path(output), partial_path(output)
    if damage == "torn line":
        journal.write_bytes(journal.read_bytes()[:-20])
    elif damage == "no journal":
        journal.unlink()
    elif damage == "not JSON":
        journal.write_bytes(b"\xff\x00[[[")
    elif damage == "short file":
        os.truncate(partial, len(plan.header) + 100)
    else:
        partial.write_bytes(b"x" * partial.stat().st_size)

    run(plan, output)

    assert output.read_bytes() == whole


def test_a_journal_of_lies_is_not_believed() -> None:
    good = {"name": "a", "end_bytes": 1, "sha256": "0" * 64, "n_nonfinite": 0}
    for wrong in ({"end_bytes": "1"}, {"sha256": "0"}, {"n_nonfinite": None}, {"more": 1}):
        assert read_lines([json.dumps(good), json.dumps(good | wrong), json.dumps(good)])[1:] == ()


@pytest.mark.skipif(sys.platform == "win32", reason="forks")
def test_a_kill_while_taking_over_costs_nothing(plan: Plan, whole: bytes, tmp_path: Path) -> None:
    output = tmp_path / "a.gguf"
    stop_after(plan, output, 6)
    n_lines = journal_path(output).read_text().count("\n")
    assert n_lines > 6
    command = [sys.executable, str(SCRIPT.with_name("keep_process.py")), str(output)]

    done = subprocess.run(command, env=python_environment(), check=True, stdout=subprocess.PIPE, text=True)

    kills = [line.split() for line in done.stdout.splitlines()]
    assert len(kills) > 5
    assert {n_left for _, n_left in kills} == {str(n_lines)}, kills
    assert first_converted(run(plan, output)).n_tensors_done >= n_lines - 1
    assert output.read_bytes() == whole
    assert os.listdir(tmp_path) == [output.name]


@pytest.mark.parametrize("is_shared", [False, True])
def test_damage_that_earlier_tensors_may_share_keeps_nothing(
    plan: Plan, tmp_path: Path, is_shared: bool
) -> None:
    output = tmp_path / "a.gguf"
    stop_after(plan, output, 5)
    kept = sorted(os.listdir(tmp_path))
    with pytest.raises(DamagedTensor), ResumableOutput(output, plan, "a@1", force=False):
        raise DamagedTensor(Path("a.bin"), "w", is_shared)
    assert sorted(os.listdir(tmp_path)) == ([] if is_shared else kept)


def test_a_kill_at_the_very_end_leaves_a_journal_that_can_be_discarded(plan: Plan, tmp_path: Path) -> None:
    output = tmp_path / "a.gguf"
    stop_after(plan, output, 5)
    partial_path(output).rename(output)
    assert not discard_partial(output)
    assert os.listdir(tmp_path) == ["a.gguf"]


def test_two_processes_do_not_write_the_same_output(plan: Plan, tmp_path: Path) -> None:
    output = tmp_path / "a.gguf"
    with ResumableOutput(output, plan, "a@1", force=False):
        with pytest.raises(OutputInUse):
            run(plan, output)
        assert not discard_partial(output)
    journal = journal_path(output)
    journal.with_name(f"{journal.name}.new").write_text("killed while this was written")
    assert discard_partial(output)
    assert os.listdir(tmp_path) == []
    assert not discard_partial(output)


def test_a_failed_verification_keeps_nothing(
    plan: Plan, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    output = tmp_path / "a.gguf"
    monkeypatch.setattr(PendingOutput, "size_on_disk", lambda self: 1)
    with pytest.raises(VerificationFailed):
        run(plan, output)
    assert os.listdir(tmp_path) == []


def test_a_full_disk_is_said_before_work(plan: Plan, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("convert.output.shutil.disk_usage", lambda path: type("Usage", (), {"free": 100})())
    with pytest.raises(NotEnoughDisk):
        run(plan, tmp_path / "a.gguf")


def test_killed_at_random_the_result_is_the_same(tmp_path: Path) -> None:
    """The kill may come while converting, between a tensor and its record, or while verifying."""
    output, other = tmp_path / "a.gguf", tmp_path / "whole.gguf"
    command = [sys.executable, str(SCRIPT)]
    subprocess.run([*command, str(other), "4096", "0"], env=python_environment(), check=True, stdout=-3)
    n_lines = 0
    for _ in range(4):
        process = subprocess.Popen(
            [*command, str(output), "4096", "0.01", "a@1"],
            env=python_environment(),
            stdout=subprocess.PIPE,
            text=True,
        )
        assert process.stdout is not None
        for _ in range(random.randrange(1, 12)):
            n_lines += bool(process.stdout.readline())
        process.kill()
        process.communicate()
    last = subprocess.run([*command, str(output), "4096", "0", "a@1"], env=python_environment(), stdout=-3)
    assert last.returncode in (0, 1)  # 1: it was finished already
    assert n_lines
    assert output.read_bytes() == other.read_bytes()
    assert sorted(os.listdir(tmp_path)) == ["a.gguf", "whole.gguf"]
