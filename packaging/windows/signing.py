"""Sign programs for Windows with a certificate, by osslsigncode, which runs on every system.

    PYTHONPATH=packaging python -m windows.signing PROGRAM...

CHATBELLE_SIGN_PKCS12 names the file with certificate and key, or CHATBELLE_SIGN_PKCS12_BASE64 holds it;
without either nothing is signed. CHATBELLE_SIGN_PASSWORD opens it. CHATBELLE_SIGN_TIMESTAMP is the address of
a time stamping service, whose stamp keeps signatures good after the certificate has run out.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from pathlib import Path
from tempfile import TemporaryDirectory

from product import NAME, PackagingError, run
from secret_files import is_given, secret_file

_CERTIFICATE = "CHATBELLE_SIGN_PKCS12"


def has_certificate(environ: Mapping[str, str] = os.environ) -> bool:
    """Whether there is something to sign with."""
    return is_given(_CERTIFICATE, environ)


def sign(program: Path, environ: Mapping[str, str] = os.environ) -> None:
    """Sign `program` in place. Raises PackagingError; the program is as it was then."""
    with (
        TemporaryDirectory(prefix=".signing-", dir=program.parent) as work,
        secret_file(_CERTIFICATE, environ) as certificate,
    ):
        if certificate is None:
            raise PackagingError(f"{program.name} is not signed; set {_CERTIFICATE}")
        signed, password = Path(work, "signed"), Path(work, "password")
        password.touch(mode=0o600)
        password.write_text(environ.get("CHATBELLE_SIGN_PASSWORD", ""), encoding="utf-8")
        stamp = environ.get("CHATBELLE_SIGN_TIMESTAMP")
        run(
            *("osslsigncode", "sign", "-pkcs12", certificate, "-readpass", password, "-h", "sha256"),
            *("-n", NAME, *(("-ts", stamp) if stamp else ()), "-in", program, "-out", signed),
            failure=f"{program.name} is not signed; check {_CERTIFICATE} and CHATBELLE_SIGN_PASSWORD",
        )
        signed.chmod(program.stat().st_mode)
        os.replace(signed, program)


def main() -> int:
    """Sign every program that is named."""
    try:
        for name in sys.argv[1:]:
            sign(Path(name))
    except PackagingError as error:
        sys.stderr.write(f"{error}\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
