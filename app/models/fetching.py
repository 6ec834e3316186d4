"""A model that is fetched as it is: where its files go, and one download after the other.

A file of its name may be there already: the same one, which is taken as it is, or another model's, which is
left alone. Knows no conversion, no queue and no screen.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path

from app.models.progress import WorkDone, WorkProgress
from app.models.split_set import claim_part, release_parts
from engine.models.download import Downloaded, DownloadProgress, download
from engine.models.endpoints import Endpoints, RemoteFile
from engine.models.fetch_errors import DownloadNameTaken
from engine.models.free_names import renamed
from engine.models.hub import Repository
from engine.models.part_file import check_room
from engine.models.parts import joined_hash
from engine.models.places import strip_suffix
from engine.models.reply import Patience

Finished = Mapping[Path, Downloaded]
"""Files that are there already, with the right bytes."""


@dataclass
class Fetching:
    """The files of one model, in order, and how they are fetched."""

    repository: Repository
    files: Sequence[RemoteFile]
    endpoints: Endpoints
    patience: Patience | None
    is_cancelled: Callable[[], bool]
    _reached: set[str] = field(default_factory=set)

    def find_place(
        self, names: Iterable[Path]
    ) -> Generator[WorkProgress, None, tuple[Path, Finished] | None]:
        """The first of endless names that is free, or has this very model; None when cancelled."""
        for output in names:
            paths = self._paths(output)
            if not any(os.path.lexists(path) for path in paths):
                return output, {}
            finished = yield from self._compare(paths)
            if finished is None:
                return None
            if finished:
                return output, finished
        return None

    def run(self, output: Path, finished: Finished) -> Iterator[WorkProgress | WorkDone]:
        """Fetch what is not `finished`, once there is room for all."""
        paths = self._paths(output)
        sizes = [file.size_bytes or 0 for file in self.files]
        check_room(self.repository.name, dict(zip(paths, sizes, strict=True)))
        total_bytes = sum(sizes)
        earlier_bytes = 0
        digests = []
        for file, path in zip(self.files, paths, strict=True):
            done = finished.get(path)
            if done is None:
                was_there = os.path.lexists(path)
                with closing(self._download(file, path)) as events:
                    for event in events:
                        if isinstance(event, Downloaded):
                            done = event
                        else:
                            all_bytes = max(total_bytes, event.total_bytes)
                            yield self._progress(event, earlier_bytes, all_bytes, output)
                if done is not None and len(paths) > 1 and not was_there:
                    claim_part(output, path)
            if done is None:
                return
            earlier_bytes += done.size_bytes
            digests.append(done.sha256)
        release_parts(output)
        yield WorkDone(paths[0], earlier_bytes, joined_hash(digests), self.repository.commit)

    def _paths(self, output: Path) -> list[Path]:
        """Of all files; those of a set are named after the first."""
        if len(self.files) == 1:
            return [output]
        stem = strip_suffix(output.name)
        return [output.with_name(renamed(Path(file.name).name, stem)) for file in self.files]

    def _compare(self, paths: Sequence[Path]) -> Generator[WorkProgress, None, Finished | None]:
        """The files that are there, or none where one is another model's; None when cancelled."""
        finished: dict[Path, Downloaded] = {}
        there = [pair for pair in zip(self.files, paths, strict=True) if os.path.lexists(pair[1])]
        if any(_has_other_size(file, path) for file, path in there):
            return {}
        total_bytes = sum(file.size_bytes or 0 for file, _ in there)
        earlier_bytes = 0
        for file, path in there:
            try:
                with closing(self._download(file, path)) as events:
                    for event in events:
                        if isinstance(event, Downloaded):
                            finished[path] = event
                        else:  # the place is not settled before the end
                            yield self._progress(event, earlier_bytes, total_bytes, None)
            except DownloadNameTaken:
                return {}
            if path not in finished:
                return None
            earlier_bytes += finished[path].size_bytes
        return finished

    def _download(self, file: RemoteFile, path: Path) -> Generator[DownloadProgress | Downloaded, None, None]:
        return download(
            file,
            path,
            self.endpoints,
            patience=self.patience,
            reached=self._reached,
            is_cancelled=self.is_cancelled,
        )

    def _progress(
        self, event: DownloadProgress, earlier_bytes: int, total_bytes: int, output: Path | None
    ) -> WorkProgress:
        done_bytes = earlier_bytes + event.done_bytes
        left_s = (total_bytes - done_bytes) / event.bytes_per_s if event.bytes_per_s > 0 else None
        return WorkProgress(
            phase=event.phase,
            item=event.name,
            done_bytes=done_bytes,
            total_bytes=total_bytes,
            bytes_per_s=event.bytes_per_s,
            left_s=left_s,
            commit=self.repository.commit,
            output=output,
            host=event.host,
            waiting_s=event.waiting_s,
        )


def _has_other_size(file: RemoteFile, path: Path) -> bool:
    """Where the hub tells the size, that saves reading the file."""
    try:
        return file.size_bytes is not None and path.stat().st_size != file.size_bytes
    except OSError:
        return True
