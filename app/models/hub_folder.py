"""A repository of a hub as a folder of the converter: its files are read by HTTP ranges, and never stored.

Ties `engine.models.ranges` to the `SourceFolder` of `convert`, which know nothing of each other.
"""

from __future__ import annotations

import zipfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

from convert.errors import MissingShard, SourceError, SourceMissing, TruncatedFile
from convert.quantize import Job, source_reads
from convert.sources.byte_source import ByteSource, SourceStream
from convert.sources.tensors import StoredRead
from convert.sources.xor import XorSource
from engine.models.endpoints import Endpoints
from engine.models.hub import Repository
from engine.models.ranges import Extent, ReadAhead
from engine.models.reply import Patience

_ZIP_SUFFIXES = (".bin", ".pt", ".pth", ".ckpt")
_LOCAL_HEADER_BYTES = 30
_MAX_DIRECTORY_BYTES = 2 << 20


class HttpSource:
    """One remote file as a `ByteSource`; closing it does nothing, the folder owns the connections.

    path: `owner/name/file`, for messages.
    """

    def __init__(self, ahead: ReadAhead, name: str, path: Path, size_bytes: int) -> None:
        self.name = name
        self.path = path
        self.size_bytes = size_bytes
        self._ahead = ahead

    def read_at(self, offset: int, size: int) -> bytes:
        """As `ByteSource.read_at`; raises also an `engine.models.fetch_errors.FetchError`."""
        if offset + size > self.size_bytes:
            raise TruncatedFile(self.path, offset + size, self.size_bytes)
        return self._ahead.read_at(self.name, offset, size)

    def expect(self, reads: Sequence[tuple[int, int]]) -> None:
        """Fetch ahead what is going to be read (offset, size), in this order."""
        within = [(start, n) for start, n in reads if start >= 0 and start + n <= self.size_bytes]
        self._ahead.expect(Extent(self.name, start, n) for start, n in within)

    def close(self) -> None:
        """Nothing is held."""


class HubFolder:
    """A `SourceFolder` over one commit of a repository, or a folder in it.

    Files whose size the hub does not tell are left out.
    """

    def __init__(
        self,
        repository: Repository,
        endpoints: Endpoints,
        *,
        subfolder: str = "",
        patience: Patience | None = None,
    ) -> None:
        prefix = f"{subfolder.strip('/')}/" if subfolder.strip("/") else ""
        self._path = Path(repository.name, *prefix.split("/"))
        self._files = {
            file.name.removeprefix(prefix): file
            for file in repository.files
            if file.name.startswith(prefix)
            and file.name.removeprefix(prefix).count("/") <= 1
            and file.size_bytes is not None
        }
        self._ahead = ReadAhead(self._files.values(), endpoints, patience)

    @property
    def path(self) -> Path:
        return self._path

    @property
    def names(self) -> frozenset[str]:
        return frozenset(name for name in self._files if "/" not in name)

    def names_below(self, folder: str) -> frozenset[str]:
        return frozenset(name for name in self._files if name.startswith(f"{folder}/"))

    def open(self, name: str) -> ByteSource:
        file = self._files.get(name)
        if file is None or file.size_bytes is None:
            raise SourceMissing(self._path / name, "not in the repository")
        source = HttpSource(self._ahead, file.name, self._path / name, file.size_bytes)
        if name.endswith(_ZIP_SUFFIXES):
            self._announce_headers(source)
        return source

    def missing_shard(self, name: str) -> SourceError:
        return MissingShard(self._path, name)

    def announce(self, jobs: Sequence[Job], n_threads: int) -> None:
        """Fetch ahead what a conversion is going to read, in its order; see `convert.pipeline.convert`."""
        reads = source_reads(jobs, n_threads=n_threads)
        self._ahead.expect(extent for read in reads for extent in _extents(read))

    @property
    def fetched_bytes(self) -> int:
        """All bytes that came so far, over the network."""
        return self._ahead.fetched_bytes

    def waiting(self) -> tuple[str, float]:
        """See `ReadAhead.waiting`."""
        return self._ahead.waiting()

    def stop(self) -> None:
        """End every read, also one that waits in another thread; nothing can be read any more."""
        self._ahead.close()

    def close(self) -> None:
        """End the connections; harmless when repeated."""
        self._ahead.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _announce_headers(self, source: HttpSource) -> None:
        """A torch checkpoint has a header before each of its hundreds of storages, all over the file."""
        try:
            with zipfile.ZipFile(SourceStream(source, _MAX_DIRECTORY_BYTES)) as archive:
                offsets = [info.header_offset for info in archive.infolist()]
        except (zipfile.BadZipFile, OSError, ValueError, NotImplementedError):
            return  # its reader will say what is wrong
        source.expect([(start, _LOCAL_HEADER_BYTES) for start in offsets])


def _extents(read: StoredRead) -> Iterator[Extent]:
    """The reads of a remote file behind one of the converter; none for a file of this disk."""
    source, offset, size = read
    if isinstance(source, HttpSource):
        yield Extent(source.name, offset, size)
    elif isinstance(source, XorSource) and isinstance(source.encrypted, HttpSource):
        for first, n in source.encrypted_reads(offset, size):
            yield Extent(source.encrypted.name, first, n)
