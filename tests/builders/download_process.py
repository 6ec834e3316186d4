"""A download in a process that can be killed: hub, repository, commit, name, destination; a line an event."""

from __future__ import annotations

import sys
from pathlib import Path

from engine.models.download import download
from engine.models.endpoints import Endpoints, RemoteFile


def main() -> None:
    url, repo, commit, name, destination = sys.argv[1:]
    for event in download(RemoteFile(repo, commit, name), Path(destination), Endpoints((url,))):
        print(event, flush=True)  # noqa: T201


if __name__ == "__main__":
    main()
