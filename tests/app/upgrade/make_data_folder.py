"""Make the data folder of a version of the app, as it is after a kill, and pack it for the tests.

Run with the code of that version, from its checkout, on nobody's own data:

    PYTHONPATH=.:tests python .../make_data_folder.py /tmp/chatbelle-old schema-1.zip

Uses what every version from the first schema on has. Absolute paths in the files begin with the folder, which
the tests replace by theirs.
"""

from __future__ import annotations

import os
import shutil
import sys
import zipfile
from pathlib import Path

from app.history.records import Origin, Overrides, Status
from app.history.store import HistoryStore
from app.home import Home
from app.models.acquire import Wish
from app.models.errands import Get, Import
from app.models.finding import open_library
from app.models.importing import ImportWish
from app.models.job_records import JobRecord, save_record
from app.personas import PersonaStore
from app.settings import Settings, SettingsStore
from builders.gguf_models import write_model

T0 = 1_764_000_000_000


def fill(home: Home, outside: Path) -> None:
    """Everything that a person may have there."""
    settings = SettingsStore(home.make())
    settings.update(language="zh-CN", theme="dark", font_scale=1.3, default_model="贝拉", sidebar_width=333)
    if hasattr(Settings, "sampling_of"):
        from engine.partial_sampling import PartialSampling

        settings.set_sampling("贝拉", PartialSampling(temperature=0.25))
        settings.set_prompt_format("贝拉", "belle")
        persona_sampling = PartialSampling(top_k=7)
    else:
        from engine.types import Sampling

        settings.update(sampling=Sampling(temperature=0.25, max_tokens=512))
        persona_sampling = Sampling(top_k=7)
    persona = PersonaStore(home.root).add("诗人", "用诗回答", persona_sampling)
    settings.update(persona=persona.id)

    for name in ("别处", "另一个文件夹"):
        (outside / name).mkdir()
    library = open_library(home)
    write_model(home.make(home.models) / "贝拉.gguf")
    library.note(
        home.models / "贝拉.gguf", source="BelleGroup/BELLE", license="rail", catalog_id="belle-7b-2m"
    )
    elsewhere = write_model(outside / "别处" / "in place.gguf")
    library.note(elsewhere, source=str(elsewhere), in_place=True)
    library.add_folder(outside / "另一个文件夹")
    write_model(outside / "另一个文件夹" / "added.gguf")
    library.look()

    get = Get("BELLE-7B-2M", "BelleGroup/BELLE-7B-2M", wish=Wish("BelleGroup/BELLE-7B-2M", target="q4_k_m"))
    output = str(home.models / "BELLE-7B-2M-q4_k_m.gguf")
    folder = home.make(home.jobs)
    save_record(folder, JobRecord("0" * 15 + "1", get, "running", T0 / 1000, 3_000_000, 9_000_000, output))
    wish = ImportWish(outside / "检查点", target="q8_0", name="我的")
    save_record(folder, JobRecord("0" * 15 + "2", Import(wish), "paused", T0 / 1000 + 1))


def talk(home: Home) -> None:
    """Conversations of every kind; the last answer is being written when the process is killed."""
    moment = [T0]

    def now_ms() -> int:
        moment[0] += 1000
        return moment[0]

    history = HistoryStore.open(home.make(home.history), now_ms=now_ms, flush_interval_s=0.0)
    first = history.conversations.create(folder="动物", overrides=Overrides(persona="teacher", system="简短"))
    question = history.messages.ask(first.id, "鹦鹉会说话吗？")
    for text in ("会。", "会的，它们模仿。"):
        answer = history.answers.begin(question.id, origin=Origin("BELLE-7B", prompt_format="belle"))
        answer.append(text)
        answer.finish(Status.COMPLETE)
    history.conversations.pin(first.id)
    history.conversations.rename(first.id, "鹦鹉")
    history.conversations.set_draft(first.id, "还没有写完的问题")
    trashed = history.conversations.create()
    history.messages.ask(trashed.id, "扔掉的")
    history.conversations.trash(trashed.id)
    history.backups.make()
    last = history.conversations.create()
    question = history.messages.ask(last.id, "讲个故事")
    running = history.answers.begin(question.id)
    if hasattr(running, "append_thought"):
        running.append_thought("想一个故事")
    running.append("从前有一座山，")
    running.flush()
    SettingsStore(home.root).update(last_conversation=last.id)


def pack(root: Path, archive: Path) -> None:
    """Everything but locks, and models: those are made again where it is unpacked."""
    with zipfile.ZipFile(archive, "w", zipfile.ZIP_DEFLATED, compresslevel=9) as file:
        for path in sorted(root.rglob("*")):
            if path.is_file() and path.suffix not in (".lock", ".gguf"):
                file.write(path, path.relative_to(root).as_posix())


def main() -> None:
    """Make, pack, and go as after a power cut."""
    root, archive = Path(sys.argv[1]), Path(sys.argv[2])
    shutil.rmtree(root, ignore_errors=True)
    home = Home(root / "data")
    fill(home, root)
    talk(home)
    (home.root / "terminal-history").write_text("+你好\n", encoding="utf-8")
    pack(root, archive)
    os._exit(0)


if __name__ == "__main__":
    main()
