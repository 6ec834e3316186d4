"""What is here already and what is under way, beside what there is to get."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from app.chat.choices import ModelChoice
from app.chat.events import EngineState
from app.home import Home
from app.models.errands import Verify
from app.models.importing import ImportWish
from app.models.service import ModelService
from app.models.stock import Stock, take_stock
from builders.fake_backend import INFO
from builders.gguf_models import write_model
from builders.hub import LocalHub
from builders.sparse_models import SparseShape, write_sparse_model
from engine.memory import estimate
from engine.models.endpoints import Endpoints
from engine.models.header_summary import summarize
from engine.models.machine import Machine

BLOOM_7B = SparseShape("bloom", 4096, 32, 30, 16384, 250880)
MODEL = "belle-7b-2m"
REPO = "BelleGroup/BELLE-7B-2M"


def _stock_of(stock: Stock, catalog_id: str) -> tuple[list[str], bool]:
    model = next(offer.model for offer in stock.offers if offer.model.id == catalog_id)
    standing = stock.standing(model)
    return [each.name for each in standing.here], standing.job is not None


def test_a_fresh_folder_has_every_offer_and_nothing_here(tmp_path: Path) -> None:
    service = ModelService(Home(tmp_path / "数据"), endpoints=lambda: Endpoints(()))
    stock = take_stock(service)
    service.close()

    assert len(stock.offers) == len(service.catalog.models)
    assert stock.local == ()
    assert stock.why_offline == "unreachable"
    assert _stock_of(stock, MODEL) == ([], False)


def test_what_came_from_a_models_repository_is_here(tmp_path: Path) -> None:
    home = Home(tmp_path / "数据")
    service = ModelService(home, endpoints=lambda: Endpoints(()))
    for name in ("one", "two", "three"):
        write_model(home.make(home.models) / f"{name}.gguf")
    service.library.note(home.models / "one.gguf", source=f"{REPO}/one.gguf")
    service.library.note(home.models / "two.gguf", source="somewhere else", catalog_id=MODEL)
    service.library.note(home.models / "three.gguf", source=f"{REPO}-other")

    stock = take_stock(service)
    service.close()

    assert _stock_of(stock, MODEL) == (["one", "two"], False)
    assert len(stock.local) == 3


def test_a_damaged_model_is_not_here(tmp_path: Path) -> None:
    home = Home(tmp_path / "数据")
    service = ModelService(home, endpoints=lambda: Endpoints(()))
    path = home.make(home.models) / "one.gguf"
    write_model(path)
    path.write_bytes(path.read_bytes()[:100])
    service.library.note(path, source=REPO, catalog_id=MODEL)

    stock = take_stock(service)
    service.close()

    assert len(stock.local) == 1
    assert _stock_of(stock, MODEL) == ([], False)


def test_only_sound_models_of_this_person_count_as_having_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path / "hub"))
    snapshot = tmp_path / "hub" / "models--some--Model" / "snapshots" / ("0" * 40)
    snapshot.mkdir(parents=True)
    cached = write_model(snapshot / "cached.gguf")
    home = Home(tmp_path / "数据")
    (home.make(home.models) / "broken.gguf").write_bytes(b"GGUF")
    service = ModelService(home, endpoints=lambda: Endpoints(()))

    unused = take_stock(service)
    service.library.note_used(cached)
    used = take_stock(service)
    service.close()

    assert len(unused.local) == 2
    assert not unused.has_own
    assert used.has_own


def test_what_is_recommended_does_not_depend_on_what_is_loaded(tmp_path: Path) -> None:
    home = Home(tmp_path / "数据")
    path = write_sparse_model(home.make(home.models) / "belle.gguf", BLOOM_7B)
    info = replace(INFO, context_tokens=2048)
    loaded = EngineState("ready", ModelChoice("belle", "belle", path, None, is_demo=False), info)
    taken = estimate(summarize(path).footprint, info.context_tokens).committed
    free_bytes = 5_900_000_000
    service = ModelService(home, endpoints=lambda: Endpoints(()), machine=lambda: _machine(free_bytes))
    crowded = ModelService(
        home, endpoints=lambda: Endpoints(()), machine=lambda: _machine(free_bytes - taken)
    )

    before, after, uncorrected = take_stock(service), take_stock(crowded, loaded), take_stock(crowded)
    service.close()
    crowded.close()

    assert after.machine == before.machine
    assert after.offers == before.offers
    chosen = [next(offer.chosen for offer in stock.offers) for stock in (before, uncorrected)]
    assert chosen[0] != chosen[1]


def _machine(available_bytes: int) -> Machine:
    return Machine(16_000_000_000, available_bytes, 8, None, 35_000_000_000)


def test_an_unfinished_job_is_under_way_until_it_is_cancelled(tmp_path: Path) -> None:
    with LocalHub() as hub:  # without the repository, so that the job fails and stays
        service = ModelService(Home(tmp_path / "数据"), endpoints=lambda: Endpoints((hub.url,)))
        job_id = service.get(MODEL, target="q4_k_m")
        assert service.jobs.wait(20)
        stock = take_stock(service)
        service.jobs.cancel(job_id)
        after = take_stock(service)
        service.close()

    assert _stock_of(stock, MODEL) == ([], True)
    assert _stock_of(after, MODEL) == ([], False)
    model = stock.offers[0].model
    assert stock.standing(model).state == "failed"
    assert stock.standing(model).key != after.standing(model).key


def test_nothing_is_told_any_more_of_a_model_that_was_removed(tmp_path: Path) -> None:
    service = ModelService(Home(tmp_path / "数据"), endpoints=lambda: Endpoints(()))
    for name in ("贝拉", "other"):
        write_model(service.home.make(tmp_path / "away") / f"{name}.gguf")
        service.import_path(ImportWish(tmp_path / "away" / f"{name}.gguf"))
    assert service.jobs.wait(30)
    model = next(model for model in service.listing().models if model.name == "贝拉")
    service.jobs.add(Verify(model.path))
    assert service.jobs.wait(30)
    assert [job.title for job in service.jobs.all] == ["贝拉", "other", "贝拉"]

    service.remove(model, to_trash=False)

    assert [job.title for job in service.jobs.all] == ["other"]
    service.close()
