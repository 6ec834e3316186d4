"""A certificate from a file, for as long as a build takes: in a keychain of its own, which is then deleted.

CHATBELLE_CODESIGN_PKCS12 names the file, or CHATBELLE_CODESIGN_PKCS12_BASE64 holds it, and
CHATBELLE_CODESIGN_PASSWORD opens it. Without them the person's own keychains are used as they are.
"""

from __future__ import annotations

import os
import secrets
import shlex
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

from product import run
from secret_files import secret_file

_FAILURE = "the certificate can't be used; check CHATBELLE_CODESIGN_PKCS12 and CHATBELLE_CODESIGN_PASSWORD"


@contextmanager
def certificate_at_hand(environ: Mapping[str, str] = os.environ) -> Iterator[None]:
    """Let codesign find the certificate in this block. Raises PackagingError."""
    with secret_file("CHATBELLE_CODESIGN_PKCS12", environ) as certificate:
        if certificate is None:
            yield
            return
        with _keychain_with(certificate, environ.get("CHATBELLE_CODESIGN_PASSWORD", "")):
            yield


@contextmanager
def _keychain_with(certificate: Path, opened_by: str) -> Iterator[None]:
    others = shlex.split(_security("list-keychains", "-d", "user"))
    with TemporaryDirectory(prefix="chatbelle-") as folder:
        keychain, password = str(Path(folder, "build.keychain-db")), secrets.token_hex(16)
        _security("create-keychain", "-p", password, keychain)
        try:
            _security("set-keychain-settings", keychain)  # never locks itself
            _security("unlock-keychain", "-p", password, keychain)
            words = ("-k", keychain, "-f", "pkcs12", "-P", opened_by, "-T", "/usr/bin/codesign")
            _security("import", str(certificate), *words)
            # Without this codesign asks in a dialog whether it may use the key.
            allowed = ("-S", "apple-tool:,apple:,codesign:")
            _security("set-key-partition-list", *allowed, "-s", "-k", password, keychain)
            _security("list-keychains", "-d", "user", "-s", keychain, *others)
            yield
        finally:
            _security("list-keychains", "-d", "user", "-s", *others)
            _security("delete-keychain", keychain)


def _security(*words: str) -> str:
    return run("security", *words, failure=_FAILURE)
