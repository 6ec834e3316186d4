"""What `chatbelle models` refuses, in words: where, why, and what to do next."""

from __future__ import annotations

import hashlib
import os
import re
import shlex
import shutil
import subprocess
from contextlib import suppress
from pathlib import Path

import pytest

from builders.processes import Run, document

CHINESE = {"LC_ALL": "zh_CN.UTF-8"}


def sentence(result: subprocess.CompletedProcess[str]) -> str:
    """The one line that a refusal ends with; nothing on stdout."""
    assert result.returncode == 1, result.stderr
    assert result.stdout == ""
    assert "Traceback" not in result.stderr
    return result.stderr.strip().splitlines()[-1]


def test_a_flipped_bit_ends_with_one_sentence(chatbelle: Run, tiny_model: Path, tmp_path: Path) -> None:
    source = Path(shutil.copyfile(tiny_model, tmp_path / "a.gguf"))
    path = Path(document(chatbelle("models", "import", str(source), "--json"))["path"])
    state = path.stat()
    data = bytearray(path.read_bytes())
    data[-10] ^= 4
    path.write_bytes(data)
    os.utime(path, ns=(state.st_atime_ns, state.st_mtime_ns))

    said = sentence(chatbelle("models", "verify", "a", "--json"))

    expected, found = (hashlib.sha256(content).hexdigest() for content in (source.read_bytes(), data))
    assert said == (
        f"{path} is not what it should be: its SHA-256 is {found}, expected was {expected}."
        " Get the model again."
    )


@pytest.mark.parametrize(
    ("arguments", "exit_code"),
    [
        (["show", "nothing"], 1),
        (["show", "demo"], 1),
        (["verify", "nothing"], 1),
        (["remove", "nothing", "--yes"], 1),
        (["import", "nothing"], 1),
        (["add", "nothing"], 1),
        (["add", "./nothing"], 1),
        (["add", "BELLE-7B-2M"], 1),
        (["add", "http://example.org/a.gguf"], 1),
        (["add"], 2),
        (["download", "chatbelle-int4"], 1),
        (["download", "belle-llama-7b-2m-enc"], 1),
        (["download", "belle-7b-2m"], 1),
        (["download", "no source"], 1),
        (["download", "belle-7b-2m", "--type", "q17"], 2),
        (["download", "owner/name/belle-f16.gguf", "--type", "q8_0"], 2),
        (["download", "https://example.org/belle.gguf", "--tokenizer", "x"], 2),
        (["download", "belle-llama2-13b-chat-gguf", "--type", "q8_0"], 2),
        (["download", "belle-7b-1m", "--type", "2m-4bit"], 2),
        (["import"], 2),
        (["import", ""], 2),
        (["download", "belle-7b-2m", "--key="], 2),
        (["import", "x", "--type", "2m-4bit"], 2),
        (["import", "x", "--link", "--type", "q8_0"], 2),
        (["import", "x", "--link", "--in-place"], 2),
        (["nonsense"], 2),
    ],
)
def test_refusals_are_worded_and_leave_stdout_empty(
    chatbelle: Run, arguments: list[str], exit_code: int
) -> None:
    result = chatbelle("models", *arguments, env={"LC_ALL": "zh_CN.UTF-8"})

    assert result.returncode == exit_code, result.stderr
    assert result.stdout == ""
    assert any("\u4e00" <= letter <= "\u9fff" for letter in result.stderr)
    assert "Traceback" not in result.stderr


@pytest.mark.parametrize(
    ("arguments", "choices"),
    [
        (["download", "belle-7b-gptq"], "iq4_xs, q3_k_m, 2m-4bit, 0.2m-4bit, 2m-8bit, 0.2m-8bit"),
        (["download", "belle-7b-1m"], "iq4_xs, q3_k_m"),
        (["import", "x"], "iq4_xs, q3_k_m"),
    ],
)
def test_the_types_that_would_do_are_all_named(chatbelle: Run, arguments: list[str], choices: str) -> None:
    for wrong in ("q17", "safetensors", ""):
        result = chatbelle("models", *arguments, "--type", wrong)

        assert result.returncode == 2
        assert result.stderr.endswith(f"{choices}\n")


@pytest.mark.parametrize("action", ["show", "verify", "remove", "download", "import", "add", "where --add"])
def test_a_name_too_long_for_the_system_is_not_found_like_others(chatbelle: Run, action: str) -> None:
    said = sentence(chatbelle("models", *action.split(), "长" * 100))

    assert "unexpected" not in said


@pytest.mark.parametrize("action", ["show", "verify", "remove", "download", "import", "add", "where --add"])
def test_the_home_folder_of_nobody_is_a_path_where_nothing_is(chatbelle: Run, action: str) -> None:
    said = sentence(chatbelle("models", *action.split(), "~nobody-of-this-name/y"))

    assert "~nobody-of-this-name/y" in said


@pytest.mark.parametrize("name", ["~nobody-of-this-name/y", "长" * 100])
def test_a_chat_with_no_such_model_says_so(chatbelle: Run, name: str) -> None:
    assert name in sentence(chatbelle("chat", "--model", name, "hi"))


def test_the_home_folders_tilde_is_followed_where_the_shell_leaves_it(
    chatbelle: Run, tiny_checkpoint: Path, tmp_path: Path
) -> None:
    home = {"HOME": str(tmp_path)}
    Path(shutil.copytree(tiny_checkpoint, tmp_path / "模型")).joinpath("tokenizer.json").rename(
        tmp_path / "tokenizer.json"
    )

    imported = chatbelle("models", "import", "~/模型", "--tokenizer=~/tokenizer.json", "--json", env=home)
    assert Path(document(imported)["path"]).exists()
    added = chatbelle("models", "where", "--add=~/模型", "--json", env=home)
    assert document(added)["folders"] == [str(tmp_path / "模型")]
    dropped = chatbelle("models", "where", "--drop=~/模型", "--json", env=home)
    assert document(dropped)["folders"] == []


def test_an_option_that_would_do_nothing_is_refused(
    chatbelle: Run, tiny_model: Path, tiny_checkpoint: Path
) -> None:
    assert sentence(chatbelle("models", "import", str(tiny_model), "--type", "q4_k_m")) == (
        f"{tiny_model.name} is a GGUF, which is taken as it is: --type is only for what must be converted."
        " Leave it out, or name a checkpoint of this model instead."
    )
    assert sentence(chatbelle("models", "import", str(tiny_checkpoint), "--in-place", env=CHINESE)) == (
        f"{tiny_checkpoint.name} 需要转换，而 --in-place 只用于 GGUF 文件。请去掉这个选项。"
    )


@pytest.mark.parametrize("source", ["BELLE-7B-2M", "belle-7b-2m", "BelleGroup/BELLE-7B-2M"])
def test_what_is_in_the_catalog_is_not_added_to_it(chatbelle: Run, source: str) -> None:
    assert sentence(chatbelle("models", "add", source)) == (
        "BELLE-7B-2M is in the catalog already: chatbelle models download belle-7b-2m gets it."
    )
    assert document(chatbelle("models", "list", "--catalog", "--json"))["added"] == []


def test_a_file_that_is_no_model_of_the_library_is_to_be_imported_first(
    chatbelle: Run, tiny_model: Path, tmp_path: Path
) -> None:
    source = Path(shutil.copyfile(tiny_model, tmp_path / "it's 新.gguf"))

    for action in (["show"], ["verify"], ["remove", "--yes"]):
        said = sentence(chatbelle("models", *action, str(source)))
        assert said.startswith(f"{source} is not among your models.")
        command = said.partition("first: ")[2]
        assert shlex.split(command) == ["chatbelle", "models", "import", str(source)]

    assert source.exists()
    assert f"{source} 不在模型列表里" in sentence(chatbelle("models", "show", str(source), env=CHINESE))
    assert "There is no model nothing" in sentence(chatbelle("models", "verify", "nothing"))


def test_the_demo_is_not_offered_where_it_is_no_answer(chatbelle: Run) -> None:
    for action in (["show"], ["verify"], ["remove", "--yes"]):
        assert "demo" not in sentence(chatbelle("models", *action, "demo")).partition(". ")[2]


def test_only_a_folder_that_is_there_is_added(chatbelle: Run, home_folder: Path, tmp_path: Path) -> None:
    missing, file = tmp_path / "没有", tmp_path / "a file"
    file.touch()
    (home_folder / "models").mkdir(parents=True)

    for folder, words in {
        missing: f"There is nothing at {missing}.",
        file: f"{file} is not a folder.",
        home_folder / "models": f"{home_folder / 'models'} is in the models folder, which is listed already.",
    }.items():
        assert sentence(chatbelle("models", "where", "--add", str(folder))) == words
    assert sentence(chatbelle("models", "where", "--add", str(missing), env=CHINESE)) == f"{missing} 不存在。"
    assert document(chatbelle("models", "where", "--json"))["folders"] == []


def test_the_data_folder_is_not_looked_through_for_models(
    chatbelle: Run, home_folder: Path, tmp_path: Path
) -> None:
    (home_folder / "demo").mkdir(parents=True)
    link = tmp_path / "link"
    link.symlink_to(home_folder)

    for folder in (home_folder, home_folder / "demo", tmp_path, link):
        assert sentence(chatbelle("models", "where", "--add", str(folder))) == (
            f"{folder} contains the folder of ChatBELLE's own data, or is in it: {home_folder}."
            " Choose another folder."
        )
    assert document(chatbelle("models", "where", "--json"))["folders"] == []


def test_a_folder_is_one_however_it_is_written(chatbelle: Run, tmp_path: Path) -> None:
    folder = tmp_path / "外部"
    folder.mkdir()

    def where(*arguments: str) -> subprocess.CompletedProcess[str]:
        return chatbelle(
            "models", "where", "--json", *arguments, env={"HOME": str(tmp_path), "USERPROFILE": str(tmp_path)}
        )

    for written in (str(folder), "外部", "./外部/../外部/", "~/外部"):
        assert document(where("--add", written))["folders"] == [str(folder)]
    said = sentence(where("--drop", "没有"))
    assert said.startswith(f"{tmp_path / '没有'} is none of the folders that were added.")
    assert document(where("--drop", "~/外部/../外部"))["folders"] == []


def test_a_folder_that_is_gone_can_be_dropped(chatbelle: Run, tmp_path: Path) -> None:
    folder = tmp_path / "外部"
    folder.mkdir()
    chatbelle("models", "where", "--add", str(folder))
    folder.rmdir()

    assert document(chatbelle("models", "where", "--drop", str(folder), "--json"))["folders"] == []


def test_a_full_disk_is_not_taken_for_a_matter_of_permissions(
    chatbelle: Run, small_disk: Path, tmp_path: Path
) -> None:
    with suppress(OSError), (small_disk / "everything").open("wb") as file:
        while True:
            file.write(bytes(1 << 12))
            file.flush()

    folder = tmp_path / "外部"
    folder.mkdir()

    said = sentence(
        chatbelle("models", "where", "--add", str(folder), env={"CHATBELLE_HOME": str(small_disk)})
    )

    assert "No space left on device. Check that there is room on its disk" in said


def test_without_a_network_the_search_still_answers(chatbelle: Run) -> None:
    result = chatbelle("models", "search", "gptq", "--json")
    chinese = chatbelle("models", "search", "gptq", env=CHINESE)
    forbidden = chatbelle("models", "search", "gptq", "--json", env={"HF_HUB_OFFLINE": "1"})

    for each in (result, forbidden):
        assert document(each)["hub"] is None
        assert len(document(each)["catalog"]) == 3
    assert re.fullmatch(
        r"The hub can't be reached \(.+\), so only the catalog was searched\. Check the network or the proxy"
        r" settings\.\n",
        result.stderr,
    )
    assert chinese.stderr.startswith("连接不上模型站点（")
    assert "下载" not in chinese.stderr
    assert forbidden.stderr == (
        "HF_HUB_OFFLINE forbids the network, so only the catalog was searched. Unset HF_HUB_OFFLINE and try"
        " again.\n"
    )


def test_a_download_that_the_network_is_forbidden_for_says_so(chatbelle: Run) -> None:
    result = chatbelle("models", "download", "belle-7b-2m", env=CHINESE | {"HF_HUB_OFFLINE": "1"})

    assert "取消环境变量 HF_HUB_OFFLINE 后再试" in sentence(result)


def test_what_is_empty_is_called_empty(chatbelle: Run, tmp_path: Path) -> None:
    folder, file = tmp_path / "空 文件夹", tmp_path / "空.gguf"
    folder.mkdir()
    file.touch()

    assert f"文件夹 {folder} 是空的" in sentence(chatbelle("models", "import", str(folder), env=CHINESE))
    assert sentence(chatbelle("models", "import", str(file))).startswith(f"{file} is empty.")


def test_a_command_that_is_advised_can_be_copied(chatbelle: Run, tmp_path: Path) -> None:
    file = tmp_path / "no model.gguf"
    file.write_bytes(b"none")
    archive = tmp_path / "an archive.gguf"
    archive.write_bytes(b"PK\x03\x04")

    for path in (file, archive, tmp_path):
        said = sentence(chatbelle("chat", "--model", str(path), "hello"))
        advice = said[said.index("belle-convert") :]
        assert shlex.split(advice)[:3] == ["belle-convert", "to-gguf", str(path)]


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--json=3"], "--json 不接受值，却给出了 3"),
        (["import", "x", "--link", "--in-place"], "--in-place 不能与 --link 同时使用"),
        (["import", ""], "PATH 是空的"),
        (["import", "x", "--t", "y"], "--t 不明确，可能是 --type, --tokenizer"),
        (["import", "x", "--type"], "--type 需要一个值"),
    ],
)
def test_wrong_usage_is_told_in_chinese(chatbelle: Run, arguments: list[str], words: str) -> None:
    action = [] if arguments[0] == "import" else ["list"]
    result = chatbelle("models", *action, *arguments, env=CHINESE)

    assert result.returncode == 2
    assert result.stderr.splitlines()[-1].endswith(words)


def test_chinese_headings_have_chinese_colons(chatbelle: Run) -> None:
    lines = chatbelle("models", "import", "--help", env=CHINESE).stdout.splitlines()

    assert {"参数：", "选项："} <= set(lines)
    assert not [line for line in lines if line.endswith(":")]
    assert "Options:" in chatbelle("models", "--help").stdout


def test_a_catalog_model_is_shown_in_words(chatbelle: Run) -> None:
    gptq = chatbelle("models", "show", "belle-llama-7b-2m-gptq-enc", env=CHINESE).stdout
    plain = chatbelle("models", "show", "belle-7b-2m").stdout

    assert "GPTQ 量化，已加密" in gptq
    assert "密钥文件 LLaMA-1 7B consolidated.00.pth" in gptq
    assert "BelleGroup/BELLE-LLaMA-7B-2M-enc 的分词器（自动获取）" in gptq
    assert "Hugging Face checkpoint" in plain
    assert not re.search(r"xor-|gptq-pt|\bhf\b", gptq + plain)
