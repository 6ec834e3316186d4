"""What becomes of long work while nobody looks at the app, and a phone may take its network away."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from app.home import Home
from app.models import service as service_module
from app.models.errands import Work
from app.models.progress import WorkDone
from app.models.service import ModelService
from engine.errors import EngineError
from engine.models.endpoints import Endpoints
from engine.models.errors import ModelNotUsable
from engine.models.fetch_errors import Offline

PATH = Path("模型.gguf")


class Errands:
    """Work that fails with `error` the first time, once `may_fail` is set, and is done the second time."""

    def __init__(self, error: EngineError) -> None:
        self.may_fail = threading.Event()
        self._error: EngineError | None = error

    def __call__(self, *_: object) -> Work:
        error, self._error = self._error, None
        if error is not None:
            assert self.may_fail.wait(20)
            raise error
        yield WorkDone(PATH, 1, None)


@pytest.fixture
def models(tmp_path: Path) -> Iterator[ModelService]:
    service = ModelService(Home(tmp_path), endpoints=lambda: Endpoints(()))
    yield service
    service.close()


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (Offline("模型", reason="Network is unreachable", hosts=("hub",)), "done"),
        (ModelNotUsable("模型"), "failed"),
    ],
)
def test_what_lost_its_network_goes_on_when_somebody_looks_again(
    models: ModelService, monkeypatch: pytest.MonkeyPatch, error: EngineError, expected: str
) -> None:
    errands = Errands(error)
    monkeypatch.setattr(service_module, "carry_out", errands)
    job_id = models.verify(PATH)

    models.went_away()
    errands.may_fail.set()
    assert models.jobs.wait(20)
    models.came_back()
    assert models.jobs.wait(20)

    job = models.jobs.find(job_id)
    assert job is not None
    assert job.state == expected


def test_what_had_failed_before_is_left_to_the_person(
    models: ModelService, monkeypatch: pytest.MonkeyPatch
) -> None:
    errands = Errands(Offline("模型", reason="Network is unreachable", hosts=("hub",)))
    errands.may_fail.set()
    monkeypatch.setattr(service_module, "carry_out", errands)
    job_id = models.verify(PATH)
    assert models.jobs.wait(20)

    models.went_away()
    models.came_back()
    assert models.jobs.wait(20)

    job = models.jobs.find(job_id)
    assert job is not None
    assert job.state == "failed"
