"""From a bundle's folder to what is handed out on Windows: an installer, and a zip that needs none.

    PYTHONPATH=packaging python -m windows.installers BUNDLE OUT

Runs on every system that has makensis (NSIS 3) and, to sign, osslsigncode.
"""

from __future__ import annotations

import os
import shutil
import sys
import zipfile
from datetime import UTC, datetime
from pathlib import Path
from tempfile import TemporaryDirectory

from bundle.programs import program_names
from installer_command import make_packages
from product import NAME, PUBLISHER, PackagingError, Product, find_product, run
from windows.payload import payload_script
from windows.signing import has_certificate, sign

PROGRAMS = program_names("win32")
_HERE = Path(__file__).resolve().parent
_MARKER = (
    "This copy is portable: its data lies in the folder named data beside this file.\r\n"
    "这是便携版，数据放在本文件旁边的 data 文件夹里。\r\n"
)


def build_installers(bundle: Path, out: Path) -> list[Path]:
    """Write installer and zip of `bundle` into `out` and return their paths. Raises PackagingError.

    The programs in `bundle` are signed first, if there is a certificate.
    """
    missing = [name for name in (*PROGRAMS, "_internal", "licences") if not (bundle / name).exists()]
    if missing:
        raise PackagingError(f"{bundle} is not a finished bundle: it lacks {', '.join(missing)}")
    product = find_product()
    out.mkdir(parents=True, exist_ok=True)
    if has_certificate():
        for name in PROGRAMS:
            sign(bundle / name)
    name = f"{NAME}-{product.version}-windows-x64"
    return [
        compile_installer(bundle, out / f"{name}-setup.exe", product),
        write_portable(bundle, out / f"{name}-portable.zip", product),
    ]


def compile_installer(bundle: Path, path: Path, product: Product) -> Path:
    """Write the installer of `bundle` to `path`. Raises PackagingError."""
    size_bytes = sum(file.stat().st_size for file in bundle.rglob("*") if file.is_file())
    with TemporaryDirectory(prefix=".installer-", dir=path.parent) as work:
        payload = Path(work, "payload.nsh")
        payload.write_text(payload_script(bundle.absolute()), encoding="utf-8")
        made = Path(work, path.name)
        defines = {
            "NAME": NAME,
            "PUBLISHER": PUBLISHER,
            "VERSION": product.version,
            "NUMBERS": ".".join(map(str, product.numbers)),
            "SIZE_KB": str(-(-size_bytes // 1024)),
            "PAYLOAD": str(payload.absolute()),
            "OUT": str(made.absolute()),
        }
        if has_certificate():
            defines["SIGN"] = f'"{sys.executable}" -m windows.signing'
        words = ["-V2", "-WX", "-NOCONFIG", "-INPUTCHARSET", "UTF8"]
        words += [f"-D{key}={value}" for key, value in defines.items()]
        run(
            *(_makensis(), *words, _HERE / "installer.nsi"),
            failure="the installer was not made",
            environ={**os.environ, "PYTHONPATH": str(_HERE.parent)},
        )
        made.replace(path)
    return path


def write_portable(bundle: Path, path: Path, product: Product) -> Path:
    """Write a zip of `bundle` to `path` whose copies keep their data beside the program."""
    moment = datetime.fromtimestamp(max(product.epoch_s, 315_532_800), UTC)  # a zip begins with 1980
    with TemporaryDirectory(prefix=".portable-", dir=path.parent) as work:
        made = Path(work, path.name)
        with zipfile.ZipFile(made, "w", zipfile.ZIP_DEFLATED, compresslevel=9) as archive:
            contents = {
                file.relative_to(bundle).as_posix(): file for file in bundle.rglob("*") if file.is_file()
            }
            for name in sorted((*contents, "portable")):
                entry = zipfile.ZipInfo(f"{NAME}/{name}", moment.timetuple()[:6])
                entry.compress_type = zipfile.ZIP_DEFLATED
                if name in contents:
                    with contents[name].open("rb") as source, archive.open(entry, "w") as target:
                        shutil.copyfileobj(source, target)
                else:
                    archive.writestr(entry, _MARKER)
        made.replace(path)
    return path


def _makensis() -> str:
    """The compiler, also where NSIS' own installer for Windows puts it."""
    found = shutil.which("makensis")
    return found or str(Path("C:/Program Files (x86)/NSIS/makensis.exe"))


if __name__ == "__main__":
    sys.exit(make_packages("Build installer and portable zip of a bundle for Windows.", build_installers))
