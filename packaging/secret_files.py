"""Files with keys, for programs that take no other: named by a variable, or made from one that holds them."""

from __future__ import annotations

import base64
import binascii
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

from product import PackagingError

_HELD = "_BASE64"


def is_given(name: str, environ: Mapping[str, str] = os.environ) -> bool:
    """Whether there is such a file, in either way."""
    return bool(environ.get(name) or environ.get(name + _HELD))


@contextmanager
def secret_file(name: str, environ: Mapping[str, str] = os.environ) -> Iterator[Path | None]:
    """The file that the variable `name` names, or one made of what NAME_BASE64 holds, for this block.

    None where neither is set. Raises PackagingError.
    """
    if environ.get(name):
        yield Path(environ[name])
        return
    held = environ.get(name + _HELD)
    if not held:
        yield None
        return
    try:
        data = base64.b64decode("".join(held.split()), validate=True)
    except (ValueError, binascii.Error) as error:
        raise PackagingError(f"{name}{_HELD} is not Base64; encode the file with `base64`") from error
    with TemporaryDirectory(prefix="chatbelle-") as folder:  # for its owner only
        path = Path(folder, "secret")
        path.write_bytes(data)
        yield path
