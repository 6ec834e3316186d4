"""Paths as they are typed, names of results, and what a draft asks the model service for."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from app.cli import with_command
from app.models.conversion import Draft, draft_of, find_conversion
from app.models.errands import Import, Verify
from app.models.importing import ImportWish, import_model
from app.models.inspection import Given, inspect
from app.models.job_records import JobRecord, State, read_records, save_record
from app.models.jobs import Job
from app.models.progress import WorkDone
from app.models.result_name import free_name, name_problem, names_to_come, suggest_name
from app.models.typed_path import parse_typed_path
from builders.checkpoints import write_bloom, write_llama
from builders.encrypted import encrypt_folder
from builders.gguf_models import write_model
from builders.gptq import write_gptq
from builders.lora import write_adapter
from engine.models.library import Library
from engine.models.machine import Machine

MACHINE = Machine(64 << 30, 60 << 30, 8, None, 35_000_000_000)


@pytest.mark.parametrize(
    ("text", "path"),
    [
        ("  /tmp/模型  \n", "/tmp/模型"),
        ('"/tmp/a b"', "/tmp/a b"),
        ("'/tmp/a b'", "/tmp/a b"),
        ("“/tmp/贝拉”", "/tmp/贝拉"),
        ("file:///tmp/a%20b/%E8%B4%9D", "/tmp/a b/贝"),
        ("file://localhost/tmp/a#1?", "/tmp/a#1?"),
        ("FILE:/tmp/x", "/tmp/x"),
        ("~/x", str(Path.home() / "x")),
        ("~nobody-of-this-name/x", "~nobody-of-this-name/x"),
        ('"', '"'),
    ],
)
def test_a_path_is_understood_however_it_was_copied(text: str, path: str) -> None:
    assert parse_typed_path(text) == Path(path)


def test_no_text_is_no_path() -> None:
    assert [parse_typed_path(text) for text in ("", "  ", '""', "file:")] == [None] * 4


def test_the_result_is_named_after_the_model_and_its_type(tmp_path: Path) -> None:
    folder = tmp_path / "BELLE-7B-2M"
    folder.mkdir()
    (folder / "model-00001-of-00002.safetensors").touch()
    (folder / "bloom7b-2m-8bit-128g.pt").touch()
    digest = "0" * 64
    (folder / f"llama7b-2m-4bit-128g.pt.{digest}.enc").touch()
    snapshot = tmp_path / "hub" / "models--BelleGroup--BELLE-7B-2M" / "snapshots" / ("0" * 40)
    snapshot.mkdir(parents=True)
    (snapshot / "model.safetensors").touch()
    names = {
        suggest_name(Given(folder), "q4_k_m"): "BELLE-7B-2M-q4_k_m",
        suggest_name(Given(folder / "model-00001-of-00002.safetensors"), "f16"): "BELLE-7B-2M-f16",
        suggest_name(Given(folder / "bloom7b-2m-8bit-128g.pt"), "auto"): "bloom7b-2m-8bit-128g",
        suggest_name(Given(folder, file="bloom7b-2m-8bit-128g.pt"), "auto"): "bloom7b-2m-8bit-128g",
        suggest_name(Given(folder / f"llama7b-2m-4bit-128g.pt.{digest}.enc"), "auto"): "llama7b-2m-4bit-128g",
        suggest_name(Given(tmp_path / "lora", base=folder), "q8_0"): "BELLE-7B-2M-lora-q8_0",
        suggest_name(Given(snapshot), "f16"): "BELLE-7B-2M-f16",
        suggest_name(Given(snapshot.parents[2]), "f16"): "BELLE-7B-2M-f16",
        suggest_name(Given(snapshot / "model.safetensors"), "f16"): "BELLE-7B-2M-f16",
        suggest_name(Given(Path("/")), "q8_0"): "model-q8_0",
    }
    for found, expected in names.items():
        assert found == expected
    long = suggest_name(Given(tmp_path / ("贝" * 80)), "q4_k_m")
    assert name_problem(long, tmp_path) is None
    assert long.endswith("贝-q4_k_m")


def test_a_name_must_be_a_new_file_on_every_system(tmp_path: Path) -> None:
    (tmp_path / "there.gguf").touch()
    (tmp_path / "gone.gguf").symlink_to(tmp_path / "nowhere")
    problems = {
        name: name_problem(name, tmp_path) for name in ("there", "gone", "", " ", "a/b", "a\\b", "a:b")
    }
    assert list(problems.values()) == ["taken", "taken", "empty", "empty", *["characters"] * 3]
    assert name_problem("..", tmp_path) == name_problem(".a", tmp_path) == "characters"
    assert name_problem("con", tmp_path) == name_problem("LPT1.x", tmp_path) == "reserved"
    assert name_problem("贝" * 80, tmp_path) == "long"
    assert name_problem("BELLE 7B (新)", tmp_path) is None
    assert free_name("there", tmp_path) == "there-2"
    assert free_name("new", tmp_path) == "new"


def job(errand: Import | Verify, state: State, number: int = 0) -> Job:
    return Job(JobRecord(f"{number:016x}", errand, state, float(number)))


def test_a_name_that_unfinished_work_will_take_is_not_offered(tmp_path: Path) -> None:
    def job(state: State, name: str | None, output: str = "") -> Job:
        wish = ImportWish(tmp_path / "checkpoint-1000", name=name)
        return Job(JobRecord("0" * 16, Import(wish), state, 0.0, output=output))

    running = job("running", None, str(tmp_path / "Model-Q8_0.gguf"))
    to_come = names_to_come([running, job("queued", "两个"), job("done", "x"), job("paused", None)])

    assert to_come == {"model-q8_0", "两个"}
    assert name_problem("model-q8_0", tmp_path, to_come) == "coming"
    assert name_problem("x", tmp_path, to_come) is None
    (tmp_path / "两个-2.gguf").touch()
    assert free_name("两个", tmp_path, to_come) == "两个-3"


def test_a_name_that_is_not_utf_8_suggests_one_that_is(tmp_path: Path) -> None:
    path = tmp_path / os.fsdecode("模型".encode("gbk"))
    path.mkdir()

    name = suggest_name(Given(path), "q8_0")

    assert name.encode("utf-8").endswith(b"-q8_0")
    assert name_problem(name, tmp_path) is None


def test_a_running_conversion_is_found_again_with_all_its_choices() -> None:
    wish = ImportWish(Path("/m"), target="q5_k_m", key=Path("/k"), name="n", loras=(Path("/lora"),), file="f")
    one = job(Import(wish), "paused", 1)
    others = (
        job(Import(ImportWish(Path("/m2"))), "done", 2),
        job(Import(ImportWish(Path("/a.gguf"))), "running", 3),
        job(Verify(Path("/m")), "running", 4),
    )
    assert find_conversion((one, *others), None) is one
    assert find_conversion((one, *others), Path("/lora")) is one
    assert find_conversion((one, *others), Path("/other")) is None
    assert find_conversion(others, None) is None
    draft = draft_of(one)
    assert draft is not None
    assert draft.given == Given(Path("/lora"), "f", Path("/m"), Path("/k"))
    assert (draft.type_name, draft.name, draft.job_id) == ("q5_k_m", "n", one.id)


def test_another_source_forgets_what_was_said_of_the_last() -> None:
    draft = Draft(Given(Path("/a"), key=Path("/k")), "q8_0", "name", "belle", "link", job_id="x")
    draft.take(Path("/b"))
    assert draft == Draft(Given(Path("/b")))


def test_an_adapter_is_merged_into_its_base(tmp_path: Path) -> None:
    base = write_bloom(tmp_path / "base")
    write_adapter(tmp_path / "adapter", base.weights, ["query_key_value"])
    draft = Draft(Given(tmp_path / "adapter", base=base.folder), type_name="f32")
    assert draft.wish("x") is None
    assert draft.given is not None
    draft.inspection = inspect(draft.given, lambda: MACHINE)
    library = Library(tmp_path / "data", tmp_path / "data" / "models")
    results = []
    for given in (draft.given, Given(base.folder)):
        own = Draft(given, "f32", inspection=inspect(given, lambda: MACHINE))
        wish = own.wish(own.suggested_name)
        assert wish is not None
        *_, done = import_model(wish, library)
        assert isinstance(done, WorkDone)
        results.append(done.path)
    assert [path.name for path in results] == ["base-adapter-f32.gguf", "base-f32.gguf"]
    assert results[0].read_bytes() != results[1].read_bytes()


def test_of_an_encrypted_folder_with_two_models_one_is_converted(tmp_path: Path) -> None:
    plain = write_llama(tmp_path / "plain", hidden=128)
    (tmp_path / "both").mkdir()
    for name, bits in (("a-4bit.pt", 4), ("b-8bit.pt", 8)):
        write_gptq(tmp_path / "both" / name, plain, bits=bits, group=64)
    key = tmp_path / "consolidated.00.pth"
    key.write_bytes(bytes(range(256)) * 40)
    encrypt_folder(tmp_path / "both", tmp_path / "enc", key.read_bytes())
    found = inspect(Given(tmp_path / "enc", key=key, tokenizer=plain.folder), lambda: MACHINE)
    assert [need.choices for need in found.needs if need.is_open] == [("a-4bit.pt", "b-8bit.pt")]
    given = Given(tmp_path / "enc", "a-4bit.pt", key=key, tokenizer=plain.folder)
    draft = Draft(given, inspection=inspect(given, lambda: MACHINE))
    wish = draft.wish(draft.suggested_name)
    assert wish is not None
    *_, done = import_model(wish, Library(tmp_path / "data", tmp_path / "data" / "models"))
    assert isinstance(done, WorkDone)
    assert done.path.name == "a-4bit.gguf"


def test_a_conversion_is_remembered_with_all_it_was_given(tmp_path: Path) -> None:
    wish = ImportWish(
        Path("/基础"),
        target="q8_0",
        key=Path("/k"),
        prompt="belle",
        name="新",
        file="a.pt",
        loras=(Path("/l"),),
    )
    record = JobRecord("0" * 16, Import(wish), "running", 1.0, output="/x.gguf")
    save_record(tmp_path, record)
    (found,) = read_records(tmp_path)
    assert found.errand == record.errand


def test_a_gguf_is_only_added(tmp_path: Path) -> None:
    path = write_model(tmp_path / "model.gguf")
    draft = Draft(Given(tmp_path), how="in-place", inspection=inspect(Given(tmp_path), lambda: MACHINE))
    assert draft.wish("") == ImportWish(path, how="in-place")
    assert draft.suggested_name == ""


def test_what_is_dropped_on_the_programs_icon_opens_the_app_with_it(tmp_path: Path) -> None:
    folder, file = tmp_path / "模型", tmp_path / "a.gguf"
    folder.mkdir()
    file.touch()

    assert with_command([str(folder)]) == ["gui", str(folder)]
    assert with_command([str(folder), str(file)]) == ["gui", str(folder), str(file)]
    assert with_command(["chat", str(file)]) == ["chat", str(file)]
    assert all(with_command(given) == given for given in ([], ["gui"], ["--version"], ["chatt"]))
