"""`chatbelle models` as people start it: processes with arguments, streams and exit codes."""

from __future__ import annotations

import hashlib
import json
import os
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from builders.encrypted import encrypt_folder
from builders.hub import LocalHub
from builders.processes import Run, document
from convert.i18n import LANGUAGES
from engine.models.library import Library


def put(model: Path, home: Path, name: str) -> Path:
    target = home / "models" / name
    target.parent.mkdir(parents=True, exist_ok=True)
    return Path(shutil.copyfile(model, target))


def test_an_empty_library_says_what_to_do(chatbelle: Run) -> None:
    result = chatbelle("models", env={"LC_ALL": "zh_CN.UTF-8"})

    assert result.returncode == 0
    assert result.stdout == ""
    assert "chatbelle models list --catalog" in result.stderr
    assert document(chatbelle("models", "list", "--json"))["models"] == []


def test_what_is_listed_can_be_chatted_with(chatbelle: Run, tiny_model: Path, home_folder: Path) -> None:
    put(tiny_model, home_folder, "子文件夹/贝拉.gguf")
    put(tiny_model, home_folder, "damaged.gguf").write_bytes(b"PK\x03\x04")

    models = document(chatbelle("models", "list", "--json"))["models"]

    damaged, good = models
    assert (good["name"], good["architecture"], good["quantization"]) == ("贝拉", "bloom", "q8_0")
    assert good["fit"]["verdict"] == "well"
    assert good["problem"] is None
    assert damaged["fit"] is None
    assert "damaged.gguf" in damaged["problem"]
    answer = chatbelle("chat", "--model", "贝拉", "--threads", "1", "--max-tokens", "2", "--json", "你好")
    assert document(answer)["model"]["path"] == good["path"]


def test_names_are_shown_as_they_are(chatbelle: Run, tiny_model: Path, home_folder: Path) -> None:
    # rich would make emoji and colours of some.
    put(tiny_model, home_folder, "m:heart:[red].gguf")

    assert "m:heart:[red]" in chatbelle("models").stdout
    assert "m:heart:[red].gguf" in chatbelle("models", "show", "m:heart:[red]").stdout.replace("\n", "")


def test_the_table_is_in_both_languages(chatbelle: Run, tiny_model: Path, home_folder: Path) -> None:
    put(tiny_model, home_folder, "贝拉.gguf")

    chinese, english = chatbelle("models", "list", "--lang", "zh-CN"), chatbelle("models", "list")

    assert "运行流畅" in chinese.stdout
    assert "runs well" in english.stdout
    assert all("贝拉" in result.stdout for result in (chinese, english))


def test_the_catalog_is_shown_without_a_network(chatbelle: Run) -> None:
    listed = document(chatbelle("models", "list", "--catalog", "--json"))["catalog"]
    found = document(chatbelle("models", "search", "belle gguf", "--offline", "--json"))
    shown = document(chatbelle("models", "show", "belle-7b-2m", "--json"))

    assert [model["group"] for model in listed].count("belle") == 16
    assert len(listed) - 16 == [model["group"] for model in listed].count("small") >= 6
    assert [model["id"] for model in found["catalog"]] == ["belle-llama2-13b-chat-gguf"]
    assert found["hub"] == []
    assert shown["outputs"]["q4_k_m"]["size_bytes"] == 4_670_685_184


def test_a_folder_that_was_added_is_searched(chatbelle: Run, tiny_model: Path, tmp_path: Path) -> None:
    folder = tmp_path / "外部 模型"
    folder.mkdir()
    shutil.copyfile(tiny_model, folder / "a.gguf")

    assert document(chatbelle("models", "where", "--add", str(folder), "--json"))["folders"] == [str(folder)]
    assert [model["name"] for model in document(chatbelle("models", "list", "--json"))["models"]] == ["a"]
    assert document(chatbelle("models", "where", "--drop", str(folder), "--json"))["folders"] == []


def test_a_gguf_is_imported_verified_and_removed(
    chatbelle: Run, tiny_model: Path, home_folder: Path, tmp_path: Path
) -> None:
    source = Path(shutil.copyfile(tiny_model, tmp_path / "新 模型.gguf"))
    linked = chatbelle("models", "import", str(source), "--link", "--json")
    assert linked.stderr == "Linking ...\n"
    Path(document(linked)["path"]).unlink()
    digest = hashlib.sha256(source.read_bytes()).hexdigest()

    imported = document(chatbelle("models", "import", str(source), "--json"))
    verified = document(chatbelle("models", "verify", "新 模型", "--json"))
    unasked = chatbelle("models", "remove", "新 模型")
    removed = document(chatbelle("models", "remove", "新 模型", "--yes", "--delete", "--json"))

    target = home_folder / "models" / "新 模型.gguf"
    assert imported["path"] == str(target)
    assert imported["sha256"] == digest
    assert verified == {"name": "新 模型", "sha256": digest, "is_confirmed": True}
    assert unasked.returncode == 2
    assert "--yes" in unasked.stderr
    assert removed["outcome"] == "deleted"
    assert not target.exists()
    assert source.exists()


def test_a_checkpoint_is_converted_on_import(
    chatbelle: Run, tiny_checkpoint: Path, home_folder: Path
) -> None:
    result = chatbelle("models", "import", str(tiny_checkpoint), "--type", "q8_0", "--json")

    imported = document(result)
    assert imported["is_converted"]
    assert Path(imported["path"]).parent == home_folder / "models"
    assert "100%" in result.stderr
    (model,) = document(chatbelle("models", "list", "--json"))["models"]
    assert model["name"].endswith("-q8_0")
    assert model["source"] == str(tiny_checkpoint)
    assert document(chatbelle("models", "verify", model["name"], "--json"))["is_confirmed"]


def test_a_removed_model_is_in_the_trash(
    chatbelle: Run, tiny_model: Path, home_folder: Path, tmp_path: Path
) -> None:
    path = put(tiny_model, home_folder, "贝拉.gguf")

    result = chatbelle("models", "remove", "贝拉", "--yes", "--json")

    if result.returncode:  # another file system than the trash's, or none: it must be left then
        assert path.exists()
        assert "--delete" in result.stderr
    else:
        assert json.loads(result.stdout)["outcome"] == "trash"
        assert not path.exists()


def answer(chatbelle: Run, reply: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    """What a command says that asks somebody at a terminal, who gives this reply."""
    import pty

    person, terminal = pty.openpty()
    try:
        os.write(person, f"{reply}\n".encode())
        return chatbelle(*arguments, stdin=terminal)
    finally:
        os.close(person)
        os.close(terminal)


def test_a_model_that_is_gone_is_forgotten_by_the_path_that_the_list_names(
    chatbelle: Run, tiny_model: Path, home_folder: Path, tmp_path: Path
) -> None:
    gone, other = put(tiny_model, home_folder, "it's 新.gguf"), tmp_path / "外部" / "it's 新.gguf"
    assert len(document(chatbelle("models", "list", "--json"))["models"]) == 1
    other.parent.mkdir()
    other.write_bytes(tiny_model.read_bytes() + bytes(8))  # not the same file, moved
    chatbelle("models", "where", "--add", str(other.parent))
    gone.unlink()

    advice = chatbelle("models", "list").stderr.splitlines()[0].partition("forget it: ")[2]
    command = shlex.split(advice)
    forgotten = document(chatbelle(*command[1:], "--json"))

    assert command == ["chatbelle", "models", "remove", str(gone)]
    assert (forgotten["name"], forgotten["outcome"]) == ("it's 新", "forgotten")
    assert other.exists()
    listing = document(chatbelle("models", "list", "--json"))
    assert [model["path"] for model in listing["models"]] == [str(other)]
    assert listing["missing"] == []


def test_a_model_that_is_gone_is_named_as_one_that_is_there(
    chatbelle: Run, tiny_model: Path, home_folder: Path
) -> None:
    for name in ("Tiny", "tiny.GGUF", "models/Tiny.gguf"):
        path = put(tiny_model, home_folder, "Tiny.gguf")
        chatbelle("models", "list")
        path.unlink()

        removed = document(chatbelle("models", "remove", name, "--json", cwd=home_folder))

        assert (removed["name"], removed["outcome"]) == ("Tiny", "forgotten")
    assert "There is no model Tiny" in chatbelle("models", "remove", "Tiny", "--yes").stderr


@pytest.mark.skipif(sys.platform == "win32", reason="it has no such terminals")
def test_a_model_of_the_cache_is_deleted_only_where_that_was_said(
    chatbelle: Run, tiny_model: Path, tmp_path: Path
) -> None:
    snapshot = tmp_path / "no hub cache" / "models--owner--name" / "snapshots" / "main"
    snapshot.mkdir(parents=True)
    path = Path(shutil.copyfile(tiny_model, snapshot / "tiny.gguf"))

    for language in LANGUAGES:
        for word in ("--yes", "--json"):  # and nobody to ask
            unsaid = chatbelle("models", "remove", "tiny", word, "--lang", language)
            assert (unsaid.returncode, unsaid.stdout, "--delete" in unsaid.stderr) == (1, "", True)
    refused = answer(chatbelle, "", "models", "remove", "tiny")
    assert refused.returncode == 1
    assert "would be deleted for good from the Hugging Face cache, and other programs" in refused.stderr
    assert "--keep-file is for" in chatbelle("models", "remove", "tiny", "--keep-file").stderr
    assert path.exists()

    assert answer(chatbelle, "y", "models", "remove", "tiny").returncode == 0
    assert not path.exists()
    shutil.copyfile(tiny_model, path)
    removed = document(chatbelle("models", "remove", "tiny", "--yes", "--delete", "--json"))
    assert removed["outcome"] == "deleted"
    assert not path.exists()


@pytest.mark.skipif(sys.platform == "win32", reason="it has no such terminals")
def test_a_file_that_was_left_in_its_place_is_forgotten_or_removed_as_it_was_said(
    chatbelle: Run, tiny_model: Path, tmp_path: Path
) -> None:
    path = Path(shutil.copyfile(tiny_model, tmp_path / "原件.gguf"))
    chatbelle("models", "import", "--in-place", str(path))

    for language in LANGUAGES:
        unsaid = chatbelle("models", "remove", "原件", "--yes", "--lang", language)
        assert (unsaid.returncode, unsaid.stdout, "--keep-file" in unsaid.stderr) == (1, "", True)
    asked = answer(chatbelle, "n", "models", "remove", "原件")
    assert asked.returncode == 1
    assert "is outside of the models folder: it was left in its place. With --keep-file" in asked.stderr
    assert document(chatbelle("models", "list", "--json"))["models"][0]["place"] == "in-place"

    kept = chatbelle("models", "remove", "原件", "--keep-file")
    assert kept.stdout == f"原件 was taken off the list; its file was left: {path}\n"
    assert document(chatbelle("models", "list", "--json"))["models"] == []
    assert path.exists()

    chatbelle("models", "import", "--in-place", str(path))
    assert chatbelle("models", "remove", "原件", "--keep-file", "--delete").returncode == 2
    removed = document(chatbelle("models", "remove", str(path), "--yes", "--delete", "--json"))
    assert removed["outcome"] == "deleted"
    assert not path.exists()


def test_a_model_another_process_works_on_is_left_alone(
    chatbelle: Run, tiny_model: Path, home_folder: Path
) -> None:
    path = put(tiny_model, home_folder, "贝拉.gguf")

    with Library(home_folder, home_folder / "models").held(path):
        result = chatbelle("models", "verify", "贝拉")

    assert result.returncode == 1
    assert str(path) in result.stderr
    assert document(chatbelle("models", "verify", "贝拉", "--json"))["sha256"]


def online(hub: LocalHub) -> dict[str, str]:
    """The hub on loopback, without the proxies of this machine."""
    return {"HF_ENDPOINT": hub.url, "NO_PROXY": "127.0.0.1,localhost", "no_proxy": "127.0.0.1,localhost"}


def test_a_catalog_model_is_fetched_converted_and_recorded(chatbelle: Run, tiny_checkpoint: Path) -> None:
    with LocalHub() as hub:
        hub.add_folder("BelleGroup/BELLE-7B-2M", tiny_checkpoint)

        result = chatbelle("models", "download", "belle-7b-2m", "--type", "q8_0", "--json", env=online(hub))

    done = document(result)
    assert done["is_converted"]
    (model,) = document(chatbelle("models", "list", "--json"))["models"]
    assert (model["path"], model["source"]) == (done["path"], "BelleGroup/BELLE-7B-2M")
    assert (model["license"], model["prompt_format"]) == ("apache-2.0", "belle")
    assert document(chatbelle("models", "verify", model["name"], "--json"))["is_confirmed"]


def test_a_gguf_of_the_hub_is_found_and_fetched(chatbelle: Run, tiny_model: Path) -> None:
    with LocalHub() as hub:
        hub.add("owner/name", "tiny.gguf", tiny_model)

        found = document(chatbelle("models", "search", "name", "--json", env=online(hub)))
        done = document(chatbelle("models", "download", "owner/name/tiny.gguf", "--json", env=online(hub)))

    assert [result["name"] for result in found["hub"]] == ["owner/name"]
    assert Path(done["path"]).read_bytes() == tiny_model.read_bytes()


def test_a_model_of_ones_own_is_added_found_fetched_and_taken_out_again(
    chatbelle: Run, tiny_model: Path
) -> None:
    added = document(chatbelle("models", "add", "owner/name/贝拉-tiny.gguf", "--json"))
    assert (added["name"], added["kind"], added["repo"]) == ("贝拉-tiny", "hub", "owner/name")
    again = document(chatbelle("models", "add", "owner/name/贝拉-tiny.gguf", "--json"))
    other = document(chatbelle("models", "add", "someone/else/贝拉-tiny.gguf", "--json"))
    assert again == added
    assert other["name"] == "贝拉-tiny-2"

    assert document(chatbelle("models", "list", "--catalog", "--json"))["added"] == [added, other]
    for query in ("someone", "tiny  SOME else"):
        assert document(chatbelle("models", "search", query, "--offline", "--json"))["added"] == [other]
    nothing = chatbelle("models", "search", "someone owner", "--offline", "--json")
    assert document(nothing)["added"] == []
    assert document(chatbelle("models", "show", "贝拉-tiny-2", "--json")) == other
    table = chatbelle("models", "list", "--catalog", "--lang", "zh-CN").stdout
    assert "你添加的：" in table
    assert "owner/name/贝拉-tiny.gguf" in table

    with LocalHub() as hub:
        hub.add("owner/name", "贝拉-tiny.gguf", tiny_model)
        done = document(chatbelle("models", "download", "贝拉-TINY", "--json", env=online(hub)))
    assert Path(done["path"]).read_bytes() == tiny_model.read_bytes()

    # The model on this disk goes first, then the entry of the same name.
    removed = [
        document(chatbelle("models", "remove", "贝拉-tiny", "--yes", "--delete", "--json")) for _ in range(2)
    ]
    assert [report["outcome"] for report in removed] == ["deleted", "dropped"]
    by_source = chatbelle("models", "remove", "someone/else/贝拉-tiny.gguf")
    assert by_source.returncode == 0
    assert document(chatbelle("models", "list", "--catalog", "--json"))["added"] == []


def test_a_path_of_ones_own_is_imported_when_it_is_downloaded(
    chatbelle: Run, tiny_model: Path, tiny_checkpoint: Path, home_folder: Path, tmp_path: Path
) -> None:
    source = Path(shutil.copyfile(tiny_model, tmp_path / "新 模型.gguf"))
    added = document(chatbelle("models", "add", str(source), "--json"))
    assert (added["name"], added["kind"], added["source"]) == ("新 模型", "path", str(source))

    first = document(chatbelle("models", "download", "新 模型", "--json"))
    second = document(chatbelle("models", "download", str(tiny_checkpoint), "--type", "q8_0", "--json"))

    assert Path(first["path"]) == home_folder / "models" / "新 模型.gguf"
    assert (first["is_converted"], second["is_converted"]) == (False, True)
    source.unlink()
    (home_folder / "models" / "新 模型.gguf").unlink()
    gone = chatbelle("models", "download", "新 模型")
    assert gone.returncode == 1
    assert str(source) in gone.stderr


def test_the_models_of_a_set_are_named_and_one_of_them_is_got(
    chatbelle: Run, tiny_checkpoint: Path, home_folder: Path, tmp_path: Path
) -> None:
    repo, key = "BelleGroup/BELLE-on-Open-Datasets", bytes(range(256)) * 40
    (tmp_path / "key.pth").write_bytes(key)
    encrypt_folder(tiny_checkpoint, tmp_path / "enc", key)
    with LocalHub() as hub:
        for path in (tmp_path / "enc").iterdir():
            hub.add(repo, f"BELLE-0.5M/{path.name}", path)
            hub.add(repo, f"BELLE-1.5M/{path.name}", path)
        asked = chatbelle("models", "download", "belle-on-open-datasets", env=online(hub))
        keyless = chatbelle("models", "download", f"{repo}/BELLE-0.5M", env=online(hub))
        result = chatbelle(
            "models", "download", f"{repo}/BELLE-0.5M", "--key", str(tmp_path / "key.pth"), env=online(hub)
        )

    assert (asked.returncode, keyless.returncode) == (1, 1)
    assert f"{repo}/FOLDER: BELLE-0.5M, BELLE-1.5M." in asked.stderr
    assert "--key" in keyless.stderr
    assert result.returncode == 0, result.stderr
    assert os.listdir(home_folder / "models") == ["BELLE-on-Open-Datasets-BELLE-0.5M-q4_k_m.gguf"]
