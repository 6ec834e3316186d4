"""The built-in model: made from the checkpoint in `assets/demo` by our own converter, on first use.

A bundle has the GGUF in that folder instead, made when the bundle was; it is used where it lies. What is made
here is kept in the data folder under a name made of the checkpoint's digest and the converter's version,
so that an updated app makes a new one. Its own digest lies beside it; what does not match is made again.
Knows nothing of how a conversion works.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from importlib.resources import files
from importlib.resources.abc import Traversable
from pathlib import Path
from tempfile import TemporaryDirectory

from app.errors import DemoMissing
from app.home import Home
from engine.models.model_sampling import ModelSampling
from engine.partial_sampling import PartialSampling

DEMO_SAMPLING = ModelSampling(
    PartialSampling(temperature=0.0, repetition_penalty=1.0, max_tokens=512),
)
"""The demo knows its answers by heart: chance and penalties could only distort them."""

DEMO_THREADS = 1
"""For a model this small more threads only wait for one another: two gave half the speed of one."""

_TYPE = "q8_0"
_NAME = "ChatBELLE demo"
_FILE_PREFIX = "chatbelle-demo-"
_CHECKPOINT_FILES = ("config.json", "tokenizer.json", "model.safetensors")


class DemoStopped(Exception):
    """The demo was not made, because it was cancelled; nothing is left of it."""


def prepare_demo(
    home: Home,
    announce: Callable[[], None],
    checkpoint: Traversable | None = None,
    is_cancelled: Callable[[], bool] = lambda: False,
) -> Path:
    """The demo's GGUF, made now if it is not there or is damaged; `announce` is called before that.

    checkpoint: a folder with a checkpoint or with a ready GGUF, default is the one in `assets`. Several
    processes may do this at the same time.
    Raises DemoMissing, DataFolderNotWritable, what the converter raises, and DemoStopped once `is_cancelled`.
    """
    source = files("assets").joinpath("demo") if checkpoint is None else checkpoint
    ready = _ready_made(source)
    if ready is not None:
        return ready
    path = home.demo / f"{_FILE_PREFIX}{_identity(source)}.gguf"
    if not _is_intact(path):
        home.make(home.demo)
        announce()
        with _as_folder(source) as folder:
            _make(folder, path, is_cancelled)
        _remove_others(path)
    return path


def _ready_made(source: Traversable) -> Path | None:
    """The GGUF that a bundle brings, None in other installations. Raises DemoMissing if it is damaged."""
    if not isinstance(source, Path):
        return None
    path = next(source.glob(f"{_FILE_PREFIX}*.gguf"), None)
    if path is not None and not _is_intact(path):
        raise DemoMissing(str(path))
    return path


def _identity(source: Traversable) -> str:
    from convert.plan import CONVERTER_VERSION

    digest = hashlib.sha256()
    for name in _CHECKPOINT_FILES:
        try:
            data = source.joinpath(name).read_bytes()
        except OSError as error:
            raise DemoMissing(str(source.joinpath(name))) from error
        digest.update(hashlib.sha256(data).digest())
    return f"{digest.hexdigest()[:12]}-v{CONVERTER_VERSION}-{_TYPE}"


def _make(folder: Path, path: Path, is_cancelled: Callable[[], bool]) -> None:
    """Convert; when another process put its own result there meanwhile, that one is as good."""
    from convert.detect import open_checkpoint
    from convert.errors import OutputError
    from convert.pipeline import Converted, convert

    try:
        with open_checkpoint(folder) as opened:
            plan = opened.plan(_TYPE, opened.prompt("belle"), _NAME)
            for event in convert(plan, path, force=True, is_cancelled=is_cancelled):
                if isinstance(event, Converted):
                    _remember_digest(path, event.sha256)
                    return
        raise DemoStopped
    except OutputError:
        if not _is_intact(path):
            raise


def _remember_digest(path: Path, digest: str) -> None:
    with suppress(OSError):  # without it the file is merely made again next time
        _digest_path(path).write_text(digest + "\n", encoding="ascii")


def _digest_path(path: Path) -> Path:
    return path.with_suffix(".sha256")


def _is_intact(path: Path) -> bool:
    try:
        expected = _digest_path(path).read_text(encoding="ascii").strip()
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest() == expected
    except (OSError, ValueError):
        return False


def _remove_others(path: Path) -> None:
    """Older demos; one that another process has open may stay."""
    for other in path.parent.glob(f"{_FILE_PREFIX}*"):
        if other.stem != path.stem:
            with suppress(OSError):
                other.unlink()


@contextmanager
def _as_folder(source: Traversable) -> Iterator[Path]:
    """The checkpoint as real files; they are copied out where the app itself lies in an archive."""
    if isinstance(source, Path):
        yield source
        return
    with TemporaryDirectory(prefix="chatbelle-") as temporary:
        for name in _CHECKPOINT_FILES:
            Path(temporary, name).write_bytes(source.joinpath(name).read_bytes())
        yield Path(temporary)
