"""From a bundle's folder to what is handed out on Linux: a `.tar.xz` and a `.deb`.

    PYTHONPATH=packaging python -m linux.installers BUNDLE OUT

Programs it calls, with their Debian packages: objdump (binutils), rsvg-convert (librsvg2-bin), xz (xz-utils),
dpkg-deb (dpkg).
"""

from __future__ import annotations

import platform
import shutil
import sys
from pathlib import Path
from tempfile import TemporaryDirectory

from installer_command import make_packages
from linux.deb import write_deb
from linux.desktop import HERE, fill, write_share
from linux.glibc_floor import read_needs
from linux.manual import PROGRAMS
from linux.tarball import write_tarball
from product import NAME, PackagingError, find_product


def build_installers(bundle: Path, out: Path) -> list[Path]:
    """Write both packages of `bundle` into `out` and return their paths. Raises PackagingError."""
    missing = [name for name in (*PROGRAMS, "_internal", "licences") if not (bundle / name).exists()]
    if missing:
        raise PackagingError(f"{bundle} is not a finished bundle: it lacks {', '.join(missing)}")
    product = find_product()
    needs = read_needs(bundle)
    if needs.foreign:
        wanted = "; ".join(f"{name} by {', '.join(files)}" for name, files in needs.foreign.items())
        raise PackagingError(f"the bundle needs libraries that it does not hold: {wanted}; add them")
    out.mkdir(parents=True, exist_ok=True)
    tarball = out / f"{NAME}-{product.version}-linux-{platform.machine()}.tar.xz"
    with TemporaryDirectory(prefix=".packages-", dir=out) as work:
        folder = Path(work, NAME)
        shutil.copytree(bundle, folder, symlinks=True)
        write_share(folder / "share", product)
        shutil.copy(HERE / "install-for-me.sh", folder)
        shutil.copy(HERE / "README.txt", folder)
        values = {"VERSION": product.version, "GLIBC": needs.glibc}
        fill(folder / "README.txt", values)
        write_tarball(folder, tarball, epoch_s=product.epoch_s)
    return [tarball, write_deb(bundle, needs, out, product)]


if __name__ == "__main__":
    sys.exit(make_packages("Build the Linux packages of a bundle.", build_installers))
