"""The base of classes that own a native object."""

from __future__ import annotations

import weakref
from types import TracebackType
from typing import Any, Self


class Owner:
    """Frees one native object once; afterwards `pointer` raises ValueError."""

    def __init__(self, pointer: Any, free: Any) -> None:
        self._pointer = pointer
        self._release = weakref.finalize(self, free, pointer)

    @property
    def pointer(self) -> Any:
        """The native object. Raises ValueError once it is freed."""
        if not self._release.alive:
            raise ValueError(f"{type(self).__name__} is closed")
        return self._pointer

    def close(self) -> None:
        """Free the native object now; harmless the second time."""
        self._release()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
