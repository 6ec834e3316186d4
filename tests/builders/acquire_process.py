"""Getting a model in a process that can be killed: hub's address, repository, folder; a line an event."""

from __future__ import annotations

import sys
from pathlib import Path

from app.models.acquire import Wish, acquire
from engine.models.endpoints import Endpoints


def main() -> None:
    url, repo, folder = sys.argv[1:]
    for event in acquire(Wish(repo), Path(folder), Endpoints((url,)), threads=2):
        print(event, flush=True)  # noqa: T201


if __name__ == "__main__":
    main()
