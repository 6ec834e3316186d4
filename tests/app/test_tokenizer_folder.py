"""What a checkpoint needs of another repository: fetched whole or not at all, and once."""

from __future__ import annotations

import os
import random
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from app.home import Home
from app.models.errands import carry_out
from app.models.finding import load_catalog
from app.models.progress import WorkDone
from app.models.tokenizer_folder import fetch_tokenizer, find_tokenizer
from app.models.wishes import find_get
from builders.checkpoints import write_bloom, write_llama
from builders.encrypted import encrypt_folder, write_encrypted
from builders.gptq import write_gptq
from builders.hub import Fault, LocalHub, Seen
from builders.processes import python_environment
from convert.detect import open_checkpoint
from convert.errors import KeyIsEncrypted, KeyNeeded, TokenizerMissing, WrongKey
from convert.pipeline import convert
from engine.models.catalog import Catalog
from engine.models.endpoints import Endpoints
from engine.models.fetch_errors import FetchError
from engine.models.reply import Patience

OWNER, GPTQ = "BelleGroup/BELLE-7B-2M", "BelleGroup/BELLE-7B-gptq"
ENCRYPTED_OWNER, ENCRYPTED_GPTQ = (f"BelleGroup/BELLE-LLaMA-7B-2M-{name}" for name in ("enc", "gptq-enc"))
KEY = bytes(range(256)) * 40
FAST = Patience(connect_s=2, stall_s=3, n_failures=2, backoff_s=0.01)
SMALL = ["config.json", "special_tokens_map.json", "tokenizer.json", "tokenizer_config.json"]
PROGRAM = """
import sys
from pathlib import Path
from app.models.tokenizer_folder import fetch_tokenizer
from engine.models.endpoints import Endpoints
for event in fetch_tokenizer(sys.argv[2], Path(sys.argv[3]), Endpoints((sys.argv[1],))):
    print(event, flush=True)
"""


@pytest.fixture
def hub(tmp_path: Path) -> LocalHub:
    """The repository with the tokenizer, whose weights nobody needs."""
    write_bloom(tmp_path / "owner", n_tokens=900)
    for name in SMALL[1:2] + SMALL[3:]:
        if not (tmp_path / "owner" / name).exists():
            (tmp_path / "owner" / name).write_text("{}")
    hub = LocalHub()
    hub.add_folder(OWNER, tmp_path / "owner")
    return hub


def fetch(root: Path, hub: LocalHub, repo: str = OWNER, key: Path | None = None) -> Path | None:
    work = fetch_tokenizer(repo, root, Endpoints((hub.url,)), key=key, patience=FAST)
    while True:
        try:
            next(work)
        except StopIteration as end:
            return end.value  # type: ignore[no-any-return]


def test_all_that_a_conversion_needs_comes_and_no_weights(tmp_path: Path, hub: LocalHub) -> None:
    with hub:
        folder = fetch(tmp_path / "分词器", hub)
        assert folder is not None
        assert sorted(os.listdir(folder)) == SMALL
        for name in SMALL:
            assert (folder / name).read_bytes() == (tmp_path / "owner" / name).read_bytes()
        n_seen = len(hub.seen)
        assert fetch(tmp_path / "分词器", hub) == folder
        assert len(hub.seen) == n_seen


def test_its_chat_templates_come_with_it(tmp_path: Path, hub: LocalHub) -> None:
    names = ["chat_template.jinja", "chat_template.json", "additional_chat_templates/rag.jinja"]
    with hub:
        for name in [*names, "additional_chat_templates/notes.txt", "examples/chat.jinja"]:
            hub.add(OWNER, name, b"{{ 1 }}")
        folder = fetch(tmp_path / "t", hub)
    assert folder is not None
    found = [path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()]
    assert sorted(found) == sorted([*SMALL, *names])


@pytest.mark.parametrize("name", SMALL)
def test_a_first_try_that_fails_leaves_no_half_folder(tmp_path: Path, hub: LocalHub, name: str) -> None:
    def fail(seen: Seen) -> Fault | None:
        return Fault(status=403) if seen.name == name else None

    with hub:
        hub.fault = fail
        with pytest.raises(FetchError):
            fetch(tmp_path / "t", hub)
        assert find_tokenizer(OWNER, tmp_path / "t") is None

        hub.fault = lambda seen: None
        hub.seen.clear()
        folder = fetch(tmp_path / "t", hub)
        # What came the first time is not fetched again.
        fetched = {seen.name for seen in hub.seen if seen.method == "GET" and seen.name}
        assert fetched == set(SMALL[SMALL.index(name) :])
    assert folder is not None
    assert sorted(os.listdir(folder)) == SMALL
    assert os.listdir(tmp_path / "t") == [folder.name]


def test_killed_at_random_the_folder_is_whole_or_not_there(
    tmp_path: Path, hub: LocalHub, request: pytest.FixtureRequest
) -> None:
    root = tmp_path / "t"
    with hub:
        hub.fault = lambda seen: Fault(bytes_per_s=60_000) if seen.name else None
        command = [sys.executable, "-c", PROGRAM, hub.url, OWNER, str(root)]
        for _ in range(100 if request.config.getoption("--run-slow") else 4):
            process = subprocess.Popen(command, env=python_environment(), stdout=subprocess.PIPE, text=True)
            assert process.stdout is not None
            for _ in range(random.randrange(1, 9)):
                process.stdout.readline()
            process.kill()
            process.communicate()
            found = find_tokenizer(OWNER, root)
            assert found is None or sorted(os.listdir(found)) == SMALL
        hub.fault = lambda seen: None
        folder = fetch(root, hub)
    assert folder is not None
    for name in SMALL:
        assert (folder / name).read_bytes() == (tmp_path / "owner" / name).read_bytes()


def test_a_repository_without_a_tokenizer_is_told(tmp_path: Path) -> None:
    with LocalHub() as empty:
        empty.add(OWNER, "config.json", b"{}")
        with pytest.raises(TokenizerMissing):
            fetch(tmp_path / "t", empty)
    assert find_tokenizer(OWNER, tmp_path / "t") is None


@pytest.mark.parametrize(("variant", "bits"), [(None, 4), ("2m-8bit", 8), ("0.2m-4bit", 4)])
def test_a_gptq_model_of_the_catalog_is_got_with_the_tokenizer_of_another(
    tmp_path: Path, hub: LocalHub, variant: str | None, bits: int
) -> None:
    """The repository has four variants and nothing else; the one that was chosen is converted as offline."""
    file = f"bloom7b-{(variant or '2m').partition('-')[0]}-{bits}bit-128g.pt"
    source, home = tmp_path / "source", Home(tmp_path / "数据")
    checkpoint = write_bloom(tmp_path / "again", n_tokens=900)
    for number, name in enumerate(sorted({file, "bloom7b-0.2m-8bit-128g.pt"})):
        write_gptq(source / name, checkpoint, bits=bits if name == file else 8, group=32, seed=number)
    output = tmp_path / "offline.gguf"
    with open_checkpoint(source / file, tmp_path / "owner") as opened:
        list(convert(opened.plan("auto", opened.prompt("belle")), output))
    with hub:
        hub.add_folder(GPTQ, source)
        errand = find_get("BELLE-7B-gptq", load_catalog(), target=variant)
        *_, done = carry_out(errand, home, Endpoints((hub.url,)))

    assert isinstance(done, WorkDone)
    assert done.path.name == f"BELLE-7B-gptq-{variant or '2m-4bit'}.gguf"
    assert done.path.read_bytes() == output.read_bytes()


@pytest.fixture
def encrypted_hub(tmp_path: Path) -> LocalHub:
    """The repository with the encrypted tokenizer, whose weights nobody needs."""
    write_llama(tmp_path / "owner", n_ff=192)
    encrypt_folder(tmp_path / "owner", tmp_path / "owner-enc", KEY)
    hub = LocalHub()
    hub.add_folder(ENCRYPTED_OWNER, tmp_path / "owner-enc")
    return hub


def write_key(folder: Path, data: bytes = KEY) -> Path:
    path = folder / "consolidated.00.pth"
    path.write_bytes(data)
    return path


def test_an_encrypted_tokenizer_is_kept_decrypted_with_the_key_of_the_weights(
    tmp_path: Path, encrypted_hub: LocalHub
) -> None:
    with encrypted_hub as hub:
        folder = fetch(tmp_path / "分词器", hub, ENCRYPTED_OWNER, write_key(tmp_path))
        assert folder is not None
        names = sorted(os.listdir(folder))
        assert "tokenizer.model" in names
        assert names == sorted(
            path.name for path in (tmp_path / "owner").iterdir() if path.suffix != ".safetensors"
        )
        for name in names:
            assert (folder / name).read_bytes() == (tmp_path / "owner" / name).read_bytes()
        assert not [seen for seen in hub.file_requests() if seen.name.startswith("model.")]
        n_seen = len(hub.seen)
        assert fetch(tmp_path / "分词器", hub, ENCRYPTED_OWNER) == folder
        assert len(hub.seen) == n_seen


def test_a_wrong_key_is_told_and_leaves_no_file_of_the_tokenizer(
    tmp_path: Path, encrypted_hub: LocalHub
) -> None:
    with encrypted_hub as hub:
        with pytest.raises(WrongKey):
            fetch(tmp_path / "t", hub, ENCRYPTED_OWNER, write_key(tmp_path, KEY[::-1]))
        assert os.listdir(tmp_path / "t") == []
        with pytest.raises(KeyNeeded):
            fetch(tmp_path / "t", hub, ENCRYPTED_OWNER)
        hub.seen.clear()
        with pytest.raises(KeyIsEncrypted):
            fetch(tmp_path / "t", hub, ENCRYPTED_OWNER, write_encrypted(tmp_path, "key.pth", b"x", KEY))
        assert hub.seen == []
        assert fetch(tmp_path / "t", hub, ENCRYPTED_OWNER, write_key(tmp_path)) is not None


@pytest.mark.parametrize(("variant", "bits"), [(None, 4), ("2m-8bit", 8)])
def test_the_encrypted_gptq_model_of_the_catalog_is_got_with_its_key_alone(
    tmp_path: Path, encrypted_hub: LocalHub, variant: str | None, bits: int
) -> None:
    """Its repository has weights only; tokenizer and configuration are the family's, under the same key."""
    home, key, source = Home(tmp_path / "数据"), write_key(tmp_path), tmp_path / "source"
    catalog = load_catalog()
    model = catalog.find(ENCRYPTED_GPTQ)
    assert model is not None
    checkpoint = write_llama(tmp_path / "again", n_ff=192)
    source.mkdir()
    published = []
    for item in model.files or ():
        plain = tmp_path / item.name.partition(".pt")[0]
        write_gptq(plain.with_suffix(".pt"), checkpoint, bits=int(item.variant[3]), group=32)
        written = write_encrypted(source, f"{plain.name}.pt", plain.with_suffix(".pt").read_bytes(), KEY)
        published.append(replace(item, name=written.name))
    offline, output = tmp_path / f"llama7b-2m-{bits}bit-128g.pt", tmp_path / "offline.gguf"
    with open_checkpoint(offline, tmp_path / "owner") as opened:
        list(convert(opened.plan("auto", opened.prompt("belle")), output))
    shipped = Catalog((replace(model, files=tuple(published)),), catalog.architectures)

    with encrypted_hub as hub:
        hub.add_folder(ENCRYPTED_GPTQ, source)
        *_, done = carry_out(
            find_get(model.id, shipped, target=variant, key=key), home, Endpoints((hub.url,))
        )

    assert isinstance(done, WorkDone)
    assert done.path.name == f"BELLE-LLaMA-7B-2M-gptq-enc-{variant or '2m-4bit'}.gguf"
    assert done.path.read_bytes() == output.read_bytes()


def test_with_a_wrong_key_no_weight_of_an_encrypted_model_is_fetched(
    tmp_path: Path, encrypted_hub: LocalHub
) -> None:
    home, key = Home(tmp_path / "home"), write_key(tmp_path, KEY[::-1])
    with encrypted_hub as hub:
        errand = find_get(ENCRYPTED_GPTQ, load_catalog(), key=key)
        with pytest.raises(WrongKey):
            list(carry_out(errand, home, Endpoints((hub.url,))))
        assert all("GPTQ" not in seen.path.upper() for seen in hub.seen)

    assert os.listdir(home.root / "tokenizers") == os.listdir(home.models) == []
