"""`chatbelle models` as people start it: processes with arguments, streams and exit codes."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from pathlib import Path

from builders.encrypted import encrypt_folder
from builders.hub import LocalHub
from builders.processes import Run, document
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


def test_the_table_is_in_both_languages(chatbelle: Run, tiny_model: Path, home_folder: Path) -> None:
    put(tiny_model, home_folder, "贝拉.gguf")

    chinese, english = chatbelle("models", "list", "--lang", "zh-CN"), chatbelle("models", "list")

    assert "运行流畅" in chinese.stdout
    assert "runs well" in english.stdout
    assert all("贝拉" in result.stdout for result in (chinese, english))


def test_the_catalog_is_shown_without_a_network(chatbelle: Run) -> None:
    listed = document(chatbelle("models", "list", "--catalog", "--json"))["catalog"]
    found = document(chatbelle("models", "search", "gguf", "--offline", "--json"))
    shown = document(chatbelle("models", "show", "belle-7b-2m", "--json"))

    assert len(listed) == 16
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
    assert document(chatbelle("models", "search", "someone", "--offline", "--json"))["added"] == [other]
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
