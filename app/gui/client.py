"""Fetching Flet's native client program, only when a person asks for it.

Flet's own way has no time-out and prints in English; so the archive is fetched here and handed to Flet as a
local file, which unpacks it where it looks for it later. Knows no screen.
"""

from __future__ import annotations

import contextlib
import http.client
import io
import os
import tarfile
import tempfile
import urllib.error
import urllib.request
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path

from app.errors import ClientNotFetched

_TIMEOUT_S = 30
_CHUNK_BYTES = 1 << 16
_URL_VARIABLE = "FLET_CLIENT_URL"

OnProgress = Callable[[int, int | None], None]


def fetch_client(on_progress: OnProgress) -> Path:
    """Fetch and unpack the client for this machine; returns its folder.

    on_progress is given the bytes so far and the bytes in all, None when the server did not say. Raises
    ClientNotFetched; nothing half-fetched is left.
    """
    import flet_desktop

    url = client_url()
    with tempfile.TemporaryDirectory(prefix="chatbelle-") as folder:
        archive = Path(folder) / flet_desktop.get_artifact_filename()
        try:
            _download(url, archive, on_progress)
            with _flet_fetches_from(archive):
                return Path(flet_desktop.ensure_client_cached())
        except urllib.error.URLError as error:
            raise ClientNotFetched(url, str(error.reason)) from error
        except (OSError, http.client.HTTPException, tarfile.TarError, zipfile.BadZipFile, EOFError) as error:
            raise ClientNotFetched(url, str(error) or type(error).__name__) from error


def client_url() -> str:
    """Where the client for this machine and this version of Flet is published."""
    import flet_desktop
    import flet_desktop.version

    name, version = flet_desktop.get_artifact_filename(), flet_desktop.version.version
    published = f"https://github.com/flet-dev/flet/releases/download/v{version}/{name}"
    return os.environ.get(_URL_VARIABLE) or published


def _download(url: str, target: Path, on_progress: OnProgress) -> None:
    with urllib.request.urlopen(url, timeout=_TIMEOUT_S) as response, target.open("wb") as file:
        length = response.headers.get("Content-Length")
        total_bytes = int(length) if length and length.isdigit() else None
        done_bytes = 0
        while chunk := response.read(_CHUNK_BYTES):
            file.write(chunk)
            done_bytes += len(chunk)
            on_progress(done_bytes, total_bytes)
    if total_bytes is not None and done_bytes != total_bytes:
        raise OSError(f"{done_bytes} of {total_bytes} bytes came")


@contextlib.contextmanager
def _flet_fetches_from(archive: Path) -> Iterator[None]:
    """Let Flet take `archive` for what it would fetch, without its messages."""
    before = os.environ.get(_URL_VARIABLE)
    os.environ[_URL_VARIABLE] = archive.as_uri()
    try:
        with contextlib.redirect_stdout(io.StringIO()):
            yield
    finally:
        if before is None:
            del os.environ[_URL_VARIABLE]
        else:
            os.environ[_URL_VARIABLE] = before
