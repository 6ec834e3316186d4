"""What a bundle weighs is said by what is in it, and too much is refused."""

from __future__ import annotations

from pathlib import Path

import pytest

from bundle import sizes
from product import PackagingError


def _write(path: Path, size_bytes: int) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("wb") as file:
        file.truncate(size_bytes)


@pytest.fixture
def bundle(tmp_path: Path) -> Path:
    folder = tmp_path / "ChatBELLE"
    _write(folder / "chatbelle", 3_000_000)
    _write(folder / "_internal" / "numpy" / "core.so", 5_000_000)
    _write(folder / "_internal" / "numpy.libs" / "blas.so", 2_000_000)
    (folder / "_internal" / "core.so").symlink_to("numpy/core.so")
    return folder


def test_each_group_is_named_with_its_weight_and_links_weigh_nothing(bundle: Path) -> None:
    assert sizes.weigh(bundle) == {
        "numpy": 5_000_000,
        "chatbelle, with the Python code in it": 3_000_000,
        "numpy's BLAS": 2_000_000,
    }
    assert sizes.table(bundle).splitlines()[0].split() == ["5.0", "MB", "numpy"]
    assert "10.0 MB  in all" in sizes.table(bundle)


def test_a_bundle_above_the_budget_is_refused(bundle: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.platform", "linux")
    sizes.require_within_budget(bundle)

    _write(bundle / "_internal" / "more", 145_000_000)

    with pytest.raises(PackagingError, match=r"155\.0 MB and may weigh 150"):
        sizes.require_within_budget(bundle)


def test_a_package_above_its_budget_is_refused(tmp_path: Path) -> None:
    package = tmp_path / "ChatBELLE.tar.xz"
    _write(package, 60_000_001)

    with pytest.raises(PackagingError, match="may weigh 60"):
        sizes.require_package_within_budget(package)
