"""What all tests share: `--run-slow`, which also runs the `slow` ones; no proxies; and a disk too small."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from builders.disks import mounted_disk


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--run-slow", action="store_true", help="also run the tests marked `slow`")


def pytest_configure(config: pytest.Config) -> None:
    # A runner in the background ignores Ctrl-C, and every program it starts would inherit that.
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    if hasattr(signal, "SIGHUP") and signal.getsignal(signal.SIGHUP) is signal.SIG_IGN:  # so does nohup
        signal.signal(signal.SIGHUP, lambda _number, _frame: None)
    config.addinivalue_line("markers", "slow: only with --run-slow (.ci/slow passes it)")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    if config.getoption("--run-slow"):
        return
    for item in items:
        if item.get_closest_marker("slow"):
            item.add_marker(pytest.mark.skip(reason="slow; run with --run-slow"))


@pytest.fixture(autouse=True)
def _no_proxies(monkeypatch: pytest.MonkeyPatch) -> None:
    """The hubs of the tests are on loopback."""
    for name in list(os.environ):
        if name.lower().endswith("_proxy"):
            monkeypatch.delenv(name)


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A folder on a disk of 8 MiB, which `builders.disks.resize_disk` changes."""
    folder = tmp_path / "disk"
    with mounted_disk(folder, "8m") as is_mounted:
        if not is_mounted:
            # In CI too: an unprivileged container can't be given the right by its own script.
            pytest.skip("a tmpfs can only be mounted by root on Linux")
        yield folder
