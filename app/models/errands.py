"""What a job can do, each with all that belongs to it: get a model, import one, or verify one.

Errands are made of built-in types and paths, so that they can be kept in a file; carrying one out is a
generator that can be left or killed at any time, and goes on where it was (a copy and a verification begin
anew). Knows no queue and no screen.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Generator
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path

from app.errors import ModelNotFound
from app.home import Home
from app.models.acquire import Wish, acquire, discard
from app.models.asking import ask
from app.models.finding import open_library
from app.models.importing import ImportWish, discard_import, import_model
from app.models.progress import Pace, WorkDone, WorkProgress
from app.models.tokenizer_folder import fetch_tokenizer
from convert.sources.model_folders import model_name
from engine.models.download import Downloaded, download, read_start
from engine.models.endpoints import Endpoints, RemoteFile, host_of
from engine.models.fetch_errors import AddressEmpty, AddressNotGguf
from engine.models.free_names import unlike_names
from engine.models.library import Library, Verified
from engine.models.places import strip_suffix

_MAGIC = b"GGUF"

Work = Generator[WorkProgress | WorkDone, None, None]


@dataclass(frozen=True, slots=True)
class Get:
    """Get a model: `wish` from a hub, or the one file at `address`.

    title, source: for people. tokenizer_repo: whose tokenizer must be fetched first. output_name: of the
    result's (first) file, once it was settled. The rest is recorded with the model, where it is known.
    """

    title: str
    source: str
    wish: Wish | None = None
    address: str | None = None
    tokenizer_repo: str | None = None
    license: str | None = None
    prompt_format: str | None = None
    catalog_id: str | None = None
    output_name: str | None = None


@dataclass(frozen=True, slots=True)
class Import:
    """Import a file or folder of this disk."""

    wish: ImportWish

    @property
    def title(self) -> str:
        """For people."""
        return self.wish.name or strip_suffix(model_name(self.wish.path))

    @property
    def is_conversion(self) -> bool:
        """Whether a new file is made: only that one gets a name."""
        return self.wish.name is not None


@dataclass(frozen=True, slots=True)
class Verify:
    """Compute the hash of the library's model at `path`, and compare it."""

    path: Path

    @property
    def title(self) -> str:
        """For people."""
        return self.path.stem


Errand = Get | Import | Verify


def carry_out(
    errand: Errand,
    home: Home,
    endpoints: Endpoints,
    is_cancelled: Callable[[], bool] = lambda: False,
    is_claimed: Callable[[Path], bool] = lambda path: False,
) -> Work:
    """Do it: `WorkProgress` values, then one `WorkDone`; just ends when cancelled.

    is_claimed: whether other work is going to make a file of that path. Raises what `acquire`, `import_model`
    and `Library.verify` raise, ModelNotFound, AddressEmpty and AddressNotGguf.
    """
    library = open_library(home)
    match errand:
        case Get():
            return _get(errand, home, library, endpoints, is_cancelled, is_claimed)
        case Import():
            return import_model(errand.wish, library, is_cancelled, resumes=True, is_claimed=is_claimed)
        case Verify():
            return _verify(errand, library, is_cancelled)


def discard_unfinished(errand: Errand, output: Path) -> None:
    """Remove what an errand that is given up left of its result at `output`."""
    if isinstance(errand, Import):
        discard_import(output)
    else:
        discard(output)


def _get(
    errand: Get,
    home: Home,
    library: Library,
    endpoints: Endpoints,
    is_cancelled: Callable[[], bool],
    is_claimed: Callable[[Path], bool],
) -> Work:
    """Fetch, convert if need be, and record where it came from."""
    home.make(home.models)

    def is_result(path: Path) -> bool:
        model = library.look().at(path)
        return model is not None and model.problem is None and model.source == errand.source

    output = library.folder / errand.output_name if errand.output_name else None
    if errand.wish is None:
        if output is None:
            names = (library.folder / name for name in unlike_names(f"{errand.title}.gguf"))
            output = next(path for path in names if _is_free(path, is_claimed) or is_result(path))
        work = _fetch_address(errand, output, endpoints, is_cancelled)
    else:
        wish = errand.wish
        if errand.tokenizer_repo is not None:
            root = home.make(home.root / "tokenizers")
            key = Path(wish.key) if wish.key else None
            tokenizer = yield from fetch_tokenizer(
                errand.tokenizer_repo, root, endpoints, key=key, is_cancelled=is_cancelled
            )
            if tokenizer is None:
                return
            wish = replace(wish, tokenizer=str(tokenizer))
        work = acquire(
            wish,
            library.folder,
            endpoints,
            is_cancelled=is_cancelled,
            held=library.held,
            output=output,
            is_claimed=is_claimed,
            is_result=is_result,
        )
    with closing(work):
        for event in work:
            if isinstance(event, WorkDone):
                library.note(
                    event.path,
                    source=errand.source,
                    license=errand.license,
                    prompt_format=errand.prompt_format,
                    catalog_id=errand.catalog_id,
                    expected_sha256=event.sha256,
                )
            yield event


def _is_free(path: Path, is_claimed: Callable[[Path], bool]) -> bool:
    return not is_claimed(path) and not os.path.lexists(path)


def _fetch_address(errand: Get, output: Path, endpoints: Endpoints, is_cancelled: Callable[[], bool]) -> Work:
    """The one file at an address, once its first bytes say that it is a model."""
    file = RemoteFile("", "", output.name, address=errand.address)
    yield WorkProgress("ask", errand.title)
    start = ask(lambda: read_start(file, endpoints, len(_MAGIC)), is_cancelled)
    if start is None:
        return
    if not start:
        raise AddressEmpty(errand.title, host_of(errand.address or ""))
    if start != _MAGIC:
        raise AddressNotGguf(errand.title, host_of(errand.address or ""), start.hex(" "))
    for event in download(file, output, endpoints, is_cancelled=is_cancelled):
        if isinstance(event, Downloaded):
            yield WorkDone(event.path, event.size_bytes, event.sha256)
        else:
            yield WorkProgress(
                event.phase,
                event.name,
                event.done_bytes,
                event.total_bytes,
                event.bytes_per_s,
                event.left_s,
                host=event.host,
                waiting_s=event.waiting_s,
                output=output,
            )


def _verify(errand: Verify, library: Library, is_cancelled: Callable[[], bool]) -> Work:
    model = library.look().at(errand.path)
    if model is None:
        raise ModelNotFound(str(errand.path), library.folder, tuple(library.paths()))
    pace = Pace()
    for event in library.verify(model, is_cancelled):
        if isinstance(event, Verified):
            yield WorkDone(model.path, model.size_bytes, event.sha256, is_confirmed=event.is_confirmed)
        else:
            yield pace.at("verify", model.name, event.done_bytes, event.total_bytes)
