"""The bill of materials of a bundle, in CycloneDX 1.6: each part that others made, each file with its hash.

    PYTHONPATH=packaging python -m release.sbom BUNDLE SYSTEM OUT

SYSTEM is what the packages are called by, as `linux-x86_64`. What the parts are is in the bundle itself, in
its index of licences.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import re
import sys
import uuid
from datetime import UTC, datetime
from fnmatch import fnmatch
from pathlib import Path

from cyclonedx.contrib.license.factories import LicenseFactory
from cyclonedx.model import HashAlgorithm, HashType
from cyclonedx.model.bom import Bom
from cyclonedx.model.component import Component, ComponentType
from cyclonedx.output.json import JsonV1Dot6
from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator
from packageurl import PackageURL

from bundle.index import Entry, licences_folder, read_index
from product import NAME, ROOT, PackagingError, Product, find_product

_OWN = "chatbelle"
_REQUIREMENTS = ROOT / "packaging" / "bundle" / "requirements.txt"


def write_sbom(
    bundle: Path, system: str, out: Path, product: Product, requirements: Path = _REQUIREMENTS
) -> Path:
    """Write the bill of `bundle` into the folder `out`. Two calls for the same bundle write the same bytes.

    requirements: the pinned distributions, of which some are in the bundle. Raises PackagingError.
    """
    index = read_index(bundle)
    if [entry.name for entry in index].count(_OWN) != 1:
        raise PackagingError(f"{licences_folder(bundle)} must name {_OWN} once; build the bundle again")
    files = {
        path.relative_to(bundle).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(bundle.rglob("*"))
        if path.is_file() and not path.is_symlink()
    }
    distributions = _distributions(requirements)
    others = [entry for entry in index if entry.name != _OWN]
    (own,) = [entry for entry in index if entry.name == _OWN]
    name = f"{NAME}-{product.version}-{system}"
    bom = Bom(components=[_component(entry, files, distributions) for entry in others])
    bom.metadata.component = _product_component(own, others, files, product)
    bom.register_dependency(bom.metadata.component, bom.components)
    bom.metadata.timestamp = datetime.fromtimestamp(product.epoch_s, UTC)
    seed = json.dumps([name, sorted(files.items())])
    bom.serial_number = uuid.uuid5(uuid.NAMESPACE_URL, seed)
    text = JsonV1Dot6(bom).output_as_string(indent=1)
    problem = JsonStrictValidator(SchemaVersion.V1_6).validate_str(text)
    if problem is not None:
        raise PackagingError(f"the bill of materials is not valid: {problem}")
    out.mkdir(parents=True, exist_ok=True)
    path = out / f"{name}.cdx.json"
    path.write_text(text, encoding="utf-8")
    return path


def _component(entry: Entry, files: dict[str, str], distributions: set[str]) -> Component:
    name, version = entry.name, entry.version
    covered = [path for path in files if any(fnmatch(path, pattern) for pattern in entry.covers)]
    return Component(
        name=name,
        version=version,
        type=ComponentType.LIBRARY,
        bom_ref=f"{name}@{version}",
        licenses=[LicenseFactory().make_from_string(entry.licence)],
        purl=PackageURL("pypi", name=name, version=version) if name in distributions else None,
        components=_file_components(name, covered, files),
    )


def _product_component(own: Entry, others: list[Entry], files: dict[str, str], product: Product) -> Component:
    """The product, with the files that nobody else made."""
    patterns = [pattern for entry in others for pattern in entry.covers]
    left = [path for path in files if not any(fnmatch(path, pattern) for pattern in patterns)]
    return Component(
        name=NAME,
        version=product.version,
        type=ComponentType.APPLICATION,
        bom_ref=_OWN,
        licenses=[LicenseFactory().make_from_string(own.licence)],
        components=_file_components(_OWN, left, files),
    )


def _file_components(owner: str, paths: list[str], files: dict[str, str]) -> list[Component]:
    """Files are named by their places; two parts may have made one together."""
    return [
        Component(
            name=path,
            type=ComponentType.FILE,
            bom_ref=f"{owner}:{path}",
            hashes=[HashType(alg=HashAlgorithm.SHA_256, content=files[path])],
        )
        for path in paths
    ]


def _distributions(requirements: Path) -> set[str]:
    text = requirements.read_text(encoding="utf-8")
    names = re.findall(r"^([A-Za-z0-9._-]+)(?:\[[^\]]*\])?==", text, re.MULTILINE)
    return {re.sub(r"[-_.]+", "-", name).lower() for name in names}


def main() -> int:
    """Write the bill, and print where."""
    parser = argparse.ArgumentParser(description="Write the bill of materials of a bundle.")
    parser.add_argument("bundle", type=Path, metavar="BUNDLE", help="the folder that PyInstaller made")
    parser.add_argument("system", metavar="SYSTEM", help="for which one, as linux-x86_64")
    parser.add_argument("out", type=Path, metavar="OUT", help="folder for the bill")
    options = parser.parse_args()
    try:
        path = write_sbom(options.bundle, options.system, options.out, find_product())
    except PackagingError as error:
        parser.exit(1, f"{error}\n")
    sys.stdout.write(f"{path}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
