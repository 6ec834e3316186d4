"""The bundle as a Debian package: below /usr/lib/chatbelle, with links in /usr/bin and no script of its own.

Menu, icons and file types need no maintainer script: the packages that own their caches have dpkg triggers on
the folders. What the package depends on is read from the bundle's own libraries.
"""

from __future__ import annotations

import gzip
import hashlib
import os
import platform
import re
import shutil
import time
from collections.abc import Iterable
from email.utils import formatdate
from pathlib import Path
from tempfile import TemporaryDirectory

from linux.copyright import write_copyright
from linux.desktop import HERE, write_share
from linux.glibc_floor import Needs
from linux.manual import PROGRAMS, write_manual
from product import PUBLISHER, ROOT, PackagingError, Product, run

_MACHINES = {"x86_64": "amd64", "aarch64": "arm64"}
# Older systems unpack no other compression than xz; what is packed in parallel differs from what is not.
_PACKING = ("--root-owner-group", "-Zxz", "-z9", "--threads-max=1", "--build")
_PLACE = Path("usr", "lib", "chatbelle")
_DESCRIPTION = """\
Description: chat with a BELLE language model, offline
 ChatBELLE runs a BELLE language model on this machine's own processor, in
 Chinese and English. It finds or makes a model that fits the machine and keeps
 the conversations. There is no account, no telemetry, and no network access
 that was not asked for.
 .
 It has a window of its own where WebKitGTK is installed, and opens in the
 browser elsewhere. The program belle-convert turns every published form of
 BELLE's checkpoints into one GGUF file.
"""


def write_deb(bundle: Path, needs: Needs, out: Path, product: Product) -> Path:
    """Write the package of `bundle` into the folder `out` and return its path.

    DEBFULLNAME and DEBEMAIL name the maintainer, as for Debian's own tools. Raises PackagingError for a
    machine that Debian does not know, or when a program fails.
    """
    architecture = debian_architecture(platform.machine())
    target = out / f"chatbelle_{debian_version(product.version)}_{architecture}.deb"
    with TemporaryDirectory(prefix=".deb-", dir=out) as work:
        tree = Path(work, "tree")
        _lay_out(bundle, tree, product)
        _write_control(tree, needs, product, architecture)
        _make_plain(tree, product.epoch_s)
        packed = Path(work, target.name)
        environ = {**os.environ, "SOURCE_DATE_EPOCH": str(product.epoch_s)}
        run("dpkg-deb", *_PACKING, tree, packed, failure=f"{target} can't be packed", environ=environ)
        packed.replace(target)
    return target


def debian_version(version: str) -> str:
    """The version with `~` before what precedes a release, so that 1.0~rc1 is older than 1.0."""
    return re.sub(r"\.?(a|b|rc|dev)(\d+)", r"~\1\2", version)


def debian_architecture(machine: str) -> str:
    """Debian's name of a machine that `uname -m` names. Raises PackagingError for one it does not know."""
    if machine not in _MACHINES:
        known = ", ".join(_MACHINES)
        raise PackagingError(f"no package can be made for {machine}; build on one of: {known}")
    return _MACHINES[machine]


def _lay_out(bundle: Path, tree: Path, product: Product) -> None:
    shutil.copytree(bundle, tree / _PLACE, symlinks=True)
    share = tree / "usr" / "share"
    write_share(share, product)
    write_manual(bundle, share / "man", product)
    year = time.gmtime(product.epoch_s).tm_year
    write_copyright(bundle, _PLACE, share / "doc" / "chatbelle" / "copyright", year=year)
    _write_changes(share / "doc" / "chatbelle", product)
    _write_overrides(share / "lintian" / "overrides" / "chatbelle")
    links = tree / "usr" / "bin"
    links.mkdir()
    for program in PROGRAMS:
        (links / program).symlink_to(Path("..", "lib", "chatbelle", program))


def _write_changes(doc: Path, product: Product) -> None:
    news = (ROOT / "CHANGELOG.md").read_bytes()
    entry = (
        f"chatbelle ({debian_version(product.version)}) unstable; urgency=medium\n\n"
        f"  * ChatBELLE {product.version}; what is new is in CHANGELOG.md.gz.\n\n"
        f" -- {_maintainer()}  {formatdate(product.epoch_s)}\n"
    )
    for name, text in (("changelog", entry.encode()), ("CHANGELOG.md", news)):
        (doc / f"{name}.gz").write_bytes(gzip.compress(text, compresslevel=9, mtime=0))


def _write_overrides(target: Path) -> None:
    target.parent.mkdir(parents=True)
    shutil.copyfile(HERE / "lintian-overrides", target)


def _write_control(tree: Path, needs: Needs, product: Product, architecture: str) -> None:
    debian = tree / "DEBIAN"
    debian.mkdir()
    files = [path for path in _sorted(tree) if path.is_file() and debian not in path.parents]
    # As dpkg-gencontrol counts: every file in whole KiB, everything else as one.
    others = sum(1 for path in _sorted(tree) if not path.is_file() or path.is_symlink())
    size_kib = others + sum(-(-path.stat().st_size // 1024) for path in files if not path.is_symlink())
    fields = {
        "Package": "chatbelle",
        "Version": debian_version(product.version),
        "Architecture": architecture,
        "Maintainer": _maintainer(),
        "Installed-Size": str(size_kib),
        "Depends": ", ".join((f"libc6 (>= {needs.glibc})", *needs.packages)),
        "Recommends": "libwebkit2gtk-4.1-0 | libwebkit2gtk-4.0-37",
        "Section": "utils",
        "Priority": "optional",
        "Homepage": "https://github.com/LianjiaTech/BELLE",
    }
    lines = "".join(f"{name}: {value}\n" for name, value in fields.items())
    (debian / "control").write_text(lines + _DESCRIPTION, encoding="utf-8")
    sums = (f"{_md5(path)}  {path.relative_to(tree)}\n" for path in files if not path.is_symlink())
    (debian / "md5sums").write_text("".join(sums), encoding="utf-8")


def _maintainer() -> str:
    name = os.environ.get("DEBFULLNAME", PUBLISHER)
    return f"{name} <{os.environ.get('DEBEMAIL', 'nobody@chatbelle.invalid')}>"


def _make_plain(tree: Path, epoch_s: int) -> None:
    """Modes and times that do not tell of the machine the package was made on."""
    programs = {tree / _PLACE / name for name in PROGRAMS}
    for path in [*_sorted(tree), tree]:
        if not path.is_symlink():
            path.chmod(0o755 if path.is_dir() or path in programs else 0o644)
        os.utime(path, (epoch_s, epoch_s), follow_symlinks=False)


def _md5(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "md5").hexdigest()


def _sorted(tree: Path) -> Iterable[Path]:
    return sorted(tree.rglob("*"))
