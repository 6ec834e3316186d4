"""What is got of a model whose type nobody asks for, and what is said of it before it begins.

The list, the window and the download must tell one truth.
"""

from __future__ import annotations

import argparse
import io
import shutil
from pathlib import Path

import pytest

from app.commands import model_work
from app.commands.model_tables import catalog_table, details_table, print_table
from app.errors import AppError, TypeNotOffered
from app.home import Home
from app.i18n import Texts
from app.models.acquire import Wish
from app.models.errands import Get
from app.models.finding import load_catalog, open_library
from app.models.getting import foresee, plan_get
from app.models.job_records import JobRecord, save_record
from app.models.offers import make_offers
from app.models.report import catalog_report
from app.models.service import ModelService
from app.models.wishes import find_get
from app.shell import Shell, make_backend
from app.terminal import Terminal
from convert.i18n import LANGUAGES, Language
from convert.recipes import AUTO, TARGETS
from convert.resumable import partial_path
from engine.models.catalog import CatalogModel
from engine.models.endpoints import Endpoints
from engine.models.fetch_errors import NetworkForbidden
from engine.models.library import Library
from engine.models.machine import Machine

GB = 1_000_000_000
CATALOG = load_catalog()
MODEL = "belle-7b-2m"
USABLE = [model for model in CATALOG.models if model.can_be_used]
# All memory, and what is available of it.
SIZES = [(4, 2.5), (8.2, 4.6), (8.2, 5.0), (8.2, 5.2), (8, 7.5), (16, 8.2), (16, 12), (32, 28)]


def _machine(total_gb: float, available_gb: float) -> Machine:
    return Machine(int(total_gb * GB), int(available_gb * GB), 8, None, 35 * GB)


@pytest.fixture
def library(tmp_path: Path) -> Library:
    return open_library(Home(tmp_path / "数据"))


def _folder(model: CatalogModel) -> str:
    """What a person types to get it; of a set, one model."""
    return f"{model.id}/folder" if model.is_set else model.id


def _plan(library: Library, machine: Machine, name: str = MODEL, target: str | None = None) -> Get:
    errand = plan_get(name, CATALOG, (), library, machine, target=target, key=_key(name))
    assert isinstance(errand, Get)
    return errand


def _key(name: str) -> Path | None:
    model = CATALOG.find(name.partition("/")[0])
    return Path("key.pth") if model and any(need.kind == "key" for need in model.needs) else None


def _target(errand: Get) -> str | None:
    assert errand.wish is not None
    return errand.wish.target


@pytest.mark.parametrize(("total_gb", "available_gb"), SIZES)
def test_list_window_and_download_agree_on_every_model(
    library: Library, total_gb: float, available_gb: float
) -> None:
    machine = _machine(total_gb, available_gb)
    for offer in make_offers(CATALOG, machine):
        report = catalog_report(offer.model, CATALOG, machine, Texts("en"))
        assert (report["fit"] is None) == (offer.fit is None)
        if offer.model.can_be_used:
            prospect = foresee(_plan(library, machine, _folder(offer.model)), CATALOG, machine)
            assert prospect is not None
            assert prospect.type_name == report["chosen"]
            assert (prospect.fit is None) == (offer.fit is None)
            if offer.fit is not None and prospect.fit is not None:
                assert report["fit"]["verdict"] == offer.fit.verdict.value == prospect.fit.verdict.value
                assert report["fit"]["needed_bytes"] == offer.fit.need.total == prospect.fit.need.total
                output = report["outputs"][report["chosen"]]
                assert output["size_bytes"] == offer.chosen.result_bytes
                assert output["fit"]["verdict"] == report["fit"]["verdict"]


@pytest.mark.parametrize(
    ("name", "available_gb"),
    [("belle-bloom-gptq-4bit", 5.0), ("belle-7b-gptq", 5.2), ("belle-llama2-13b-chat-gguf", 8.2)],
)
def test_what_stays_as_it_was_published_is_judged_by_its_own_size(name: str, available_gb: float) -> None:
    model = CATALOG.find(name)
    assert model is not None

    report = catalog_report(model, CATALOG, _machine(16, available_gb), Texts("en"))

    assert report["fit"]["verdict"] == "no"  # a smaller type that nobody gets would fit


@pytest.mark.parametrize(("total_gb", "available_gb"), SIZES)
def test_every_type_that_is_shown_can_be_asked_for(
    library: Library, total_gb: float, available_gb: float
) -> None:
    machine = _machine(total_gb, available_gb)
    for model in USABLE:
        report = catalog_report(model, CATALOG, machine, Texts("en"))
        for name in (report["chosen"], *report["outputs"]):
            assert _plan(library, machine, _folder(model), target=name)
        if model.form == "gguf":
            assert list(report["outputs"]) == list(model.variants)
            with pytest.raises(TypeNotOffered):
                _plan(library, machine, model.id, target="q4_k_s")
            for name in model.variants:  # a repository may hold more files than the catalog lists
                wish = _plan(library, machine, model.id, target=name).wish
                assert wish is not None
                assert wish.file in [item.name for item in model.variant_files(name)]


@pytest.mark.parametrize(
    ("available_gb", "expected"), [(28, "q4_k_m"), (5.0, "q4_k_s"), (4.75, "iq4_xs"), (1, "q3_k_m")]
)
def test_a_checkpoint_of_the_catalog_becomes_what_suits_the_machine(
    library: Library, available_gb: float, expected: str
) -> None:
    machine = _machine(32, available_gb)

    assert _target(_plan(library, machine)) == expected
    for asked_for in TARGETS:
        assert _target(_plan(library, machine, target=asked_for)) == asked_for


def test_what_has_a_type_of_its_own_keeps_it(library: Library) -> None:
    machine = _machine(8.2, 5.0)

    gguf = _plan(library, machine, "belle-llama2-13b-chat-gguf")
    assert _target(gguf) is None
    assert gguf == find_get("belle-llama2-13b-chat-gguf", CATALOG)
    for name in ("belle-bloom-gptq-4bit", "belle-7b-gptq"):
        assert _target(_plan(library, machine, name)) == AUTO
        assert _plan(library, machine, name) == find_get(name, CATALOG)


def test_outside_of_the_catalog_nothing_is_chosen_beforehand(library: Library) -> None:
    machine = _machine(8.2, 5.0)

    assert _plan(library, machine, "owner/name").wish == Wish("owner/name")
    assert _target(_plan(library, machine, "belle-on-open-datasets/0.6M-ft")) is None


def test_the_window_chooses_for_the_machine_too(tmp_path: Path) -> None:
    service = ModelService(
        Home(tmp_path), endpoints=lambda: Endpoints(()), machine=lambda: _machine(8.2, 5.0)
    )
    try:
        service.get(MODEL)
        (job,) = service.jobs.all
        assert isinstance(job.errand, Get)
        assert _target(job.errand) == "q4_k_s"
    finally:
        service.close()


def test_a_type_that_was_begun_goes_on_whatever_is_free_now(library: Library) -> None:
    library.folder.mkdir(parents=True)
    partial_path(library.folder / "BELLE-7B-2M-q4_k_s.gguf").touch()

    assert _target(_plan(library, _machine(32, 28))) == "q4_k_s"
    assert _target(_plan(library, _machine(32, 28), target="q4_k_m")) == "q4_k_m"
    partial_path(library.folder / "BELLE-7B-2M-q4_k_m.gguf").touch()
    assert _target(_plan(library, _machine(32, 28))) == "q4_k_m"
    assert _target(_plan(library, _machine(32, 28), "belle-7b-1m")) == "q4_k_m"


def test_any_type_that_was_begun_goes_on(library: Library) -> None:
    library.folder.mkdir(parents=True)
    partial_path(library.folder / "BELLE-7B-2M-q8_0.gguf").touch()

    assert _target(_plan(library, _machine(32, 28))) == "q8_0"


def test_what_was_begun_of_another_model_of_this_name_makes_no_difference(tmp_path: Path) -> None:
    service = ModelService(Home(tmp_path), endpoints=lambda: Endpoints(()), machine=lambda: _machine(32, 28))
    output = service.library.folder / "BELLE-7B-2M-q4_k_s.gguf"
    output.parent.mkdir(parents=True)
    partial_path(output).touch()
    wish = Wish("somebody/BELLE-7B-2M", target="q4_k_s")
    theirs = Get("BELLE-7B-2M", "somebody/BELLE-7B-2M", wish, output_name=output.name)
    save_record(service.home.jobs, JobRecord("a" * 16, theirs, "paused", 1.0, 1, 2, str(output)))

    assert _target(service.plan("BELLE-7B-2M")) == "q4_k_m"
    service.close()


def test_a_type_that_is_here_and_runs_is_not_made_again_in_another(
    library: Library, tiny_model: Path
) -> None:
    library.folder.mkdir(parents=True)
    path = Path(shutil.copyfile(tiny_model, library.folder / "BELLE-7B-2M-q4_k_s.gguf"))
    much, little = _machine(32, 28), _machine(32, 0.001)
    assert _target(_plan(library, much)) == "q4_k_m"  # it is something else of this name

    library.note(path, source="BelleGroup/BELLE-7B-2M")

    assert _target(_plan(library, much)) == "q4_k_s"
    assert _target(_plan(library, little)) == "q3_k_m"
    # What comes beside a file of somebody else's is found under its own name.
    library.note(path, source="somebody/BELLE-7B-2M")
    partial_path(library.folder / "BELLE-7B-2M-q4_k_s-2.gguf").touch()
    assert _target(_plan(library, much)) == "q4_k_s"


@pytest.mark.parametrize("language", LANGUAGES)
def test_the_type_stands_next_to_its_verdict(language: Language) -> None:
    texts, machine = Texts(language), _machine(8.2, 5.0)
    model = CATALOG.find(MODEL)
    assert model is not None
    report = catalog_report(model, CATALOG, machine, texts)
    runs_well = texts.text("models.fit.well")

    shown = [_printed(table) for table in (catalog_table(texts, [report]), details_table(texts, report))]

    assert all(["q4_k_s", *runs_well.split()] == _words_from(page, "q4_k_s", runs_well) for page in shown)


def _printed(table: object) -> str:
    out = io.StringIO()
    print_table(Terminal(io.StringIO(), out, io.StringIO()), table)  # type: ignore[arg-type]
    return out.getvalue()


def _words_from(page: str, first: str, words: str) -> list[str]:
    """As many words as those are, from the first place of `first` in a page."""
    return page[page.index(first) :].split()[: 1 + len(words.split())]


def _said(
    home: Home, monkeypatch: pytest.MonkeyPatch, machine: Machine, name: str, target: str | None = None
) -> list[str]:
    """What `download` says before it asks the hub, which nobody lets it."""
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    monkeypatch.setitem(ModelService.__init__.__kwdefaults__, "machine", lambda: machine)
    terminal = Terminal(io.StringIO(), io.StringIO(), io.StringIO())
    shell = Shell(Texts("en"), terminal, home, make_backend)
    options = argparse.Namespace(name=name, type=target, key=_key(name), tokenizer=None, json=False)
    with pytest.raises((NetworkForbidden, AppError)):
        model_work.download_model(options, shell)
    assert isinstance(terminal.stderr, io.StringIO)
    return [line for line in terminal.stderr.getvalue().splitlines() if line != "Asking the hub ..."]


@pytest.mark.parametrize(
    ("name", "target", "expected"),
    [
        (MODEL, None, "Getting BELLE-7B-2M as q4_k_s."),
        (MODEL, AUTO, "Getting BELLE-7B-2M as q4_k_m."),
        ("owner/name", None, "Getting owner/name: a checkpoint becomes q4_k_m, a GGUF stays as it is."),
        ("owner/name", "q8_0", "Getting owner/name as q8_0."),
        (
            "owner/name/a.bin",
            None,
            "Getting owner/name/a.bin as auto: weights that are quantized already stay as they are.",
        ),
        ("owner/name/a.gguf", None, None),
        ("belle-on-open-datasets", None, None),
    ],
)
def test_a_download_says_the_type_before_it_begins(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, target: str | None, expected: str | None
) -> None:
    said = _said(Home(tmp_path), monkeypatch, _machine(8.2, 5.0), name, target)

    assert said[:1] == ([] if expected is None else [expected])


@pytest.mark.parametrize(
    ("name", "target", "lines"),
    [
        (
            MODEL,
            "q8_0",
            [
                "Getting BELLE-7B-2M as q8_0.",
                "Does not fit: it needs 8.13 GB of memory, and 5.00 GB are available. Choose q4_k_s instead.",
            ],
        ),
        (
            "belle-7b-gptq",
            "2m-8bit",
            [
                "Getting BELLE-7B-gptq as 2m-8bit: weights that are quantized already stay as they are.",
                "Does not fit: it needs 8.12 GB of memory, and 5.00 GB are available."
                " Close other programs, or choose a smaller model.",
            ],
        ),
    ],
)
def test_a_download_that_will_not_fit_goes_on_with_a_warning(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, target: str, lines: list[str]
) -> None:
    assert _said(Home(tmp_path), monkeypatch, _machine(8.2, 5.0), name, target) == lines
