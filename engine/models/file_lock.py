"""A lock on an open file that ends with the process, however that ends."""

from __future__ import annotations

import errno
import os
import sys

if sys.platform == "win32":
    import msvcrt

    # Far behind any content: a locked byte can't be read there.
    _LOCKED_OFFSET = 1 << 62

    def lock_file(descriptor: int) -> bool:
        """Whether nobody else holds it; from now on this process does."""
        os.lseek(descriptor, _LOCKED_OFFSET, os.SEEK_SET)
        try:
            msvcrt.locking(descriptor, msvcrt.LK_NBLCK, 1)
        except OSError:
            return False
        return True
else:
    import fcntl

    def lock_file(descriptor: int) -> bool:
        """Whether nobody else holds it; from now on this process does. Without locks on the disk, true."""
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            return error.errno not in (errno.EWOULDBLOCK, errno.EACCES)
        return True


__all__ = ["lock_file"]
