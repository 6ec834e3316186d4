"""From a bundle's folder to what is handed out on Linux: a `.tar.xz` and a `.deb`.

    PYTHONPATH=packaging python -m linux.installers BUNDLE OUT

Programs it calls, with their Debian packages: objdump (binutils), rsvg-convert (librsvg2-bin), xz (xz-utils),
dpkg-deb (dpkg).
"""

from __future__ import annotations

import argparse
import shutil
import sys
from pathlib import Path
from tempfile import TemporaryDirectory

from linux.deb import PROGRAMS, write_deb
from linux.desktop import HERE, fill, write_share
from linux.glibc_floor import read_needs
from linux.product import PackagingError, find_product
from linux.tarball import write_tarball

_TOP = "ChatBELLE"


def build_installers(bundle: Path, out: Path) -> list[Path]:
    """Write both packages of `bundle` into `out` and return their paths. Raises PackagingError."""
    missing = [name for name in (*PROGRAMS, "_internal", "licences") if not (bundle / name).exists()]
    if missing:
        raise PackagingError(f"{bundle} is not a finished bundle: it lacks {', '.join(missing)}")
    product = find_product()
    needs = read_needs(bundle)
    out.mkdir(parents=True, exist_ok=True)
    tarball = out / f"ChatBELLE-{product.version}-linux-{product.machine}.tar.xz"
    deb = out / f"chatbelle_{product.debian_version}_{product.debian_architecture}.deb"
    with TemporaryDirectory(prefix=".packages-", dir=out) as work:
        folder = Path(work, _TOP)
        shutil.copytree(bundle, folder, symlinks=True)
        write_share(folder / "share", product)
        shutil.copy(HERE / "install-for-me.sh", folder)
        shutil.copy(HERE / "README.txt", folder)
        values = {"VERSION": product.version, "GLIBC": ".".join(map(str, needs.floor))}
        fill(folder / "README.txt", values)
        write_tarball(folder, tarball, epoch_s=product.epoch_s)
        write_deb(bundle, needs, Path(work, "deb"), deb, product)
    return [tarball, deb]


def main() -> int:
    """Build, and print each package with its size."""
    parser = argparse.ArgumentParser(description="Build the Linux packages of a bundle.")
    parser.add_argument("bundle", type=Path, metavar="BUNDLE", help="the folder that PyInstaller made")
    parser.add_argument("out", type=Path, metavar="OUT", help="folder for the packages")
    arguments = parser.parse_args()
    try:
        packages = build_installers(arguments.bundle, arguments.out)
    except PackagingError as error:
        parser.exit(1, f"{error}\n")
    for path in packages:
        sys.stdout.write(f"{path.stat().st_size / 1e6:7.1f} MB  {path}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
