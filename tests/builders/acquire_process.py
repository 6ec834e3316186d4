"""Getting a model in a process that can be killed: hub's address, repository, folder.

A line an event, and at the end one number: by how many bytes the peak memory has grown.
"""

from __future__ import annotations

import sys
from pathlib import Path

from app.models.acquire import Wish, acquire
from convert.pipeline import peak_rss_bytes
from engine.models.endpoints import Endpoints
from engine.native.kernels import GgmlType, block_size


def main() -> None:
    url, repo, folder = sys.argv[1:]
    block_size(GgmlType.Q4_K)  # loads the library, which has a size of its own
    before_bytes = peak_rss_bytes()
    for event in acquire(Wish(repo), Path(folder), Endpoints((url,)), threads=2):
        print(event, flush=True)  # noqa: T201
    print(peak_rss_bytes() - before_bytes, flush=True)  # noqa: T201


if __name__ == "__main__":
    main()
