"""What macOS and iOS tell a program of the machine, and are told by it, through the system's own libraries.

Phones have no psutil; and iOS ends a program that takes more than its share, which only it can say.
"""

from __future__ import annotations

import ctypes
import os
from pathlib import Path
from typing import Any

_FOUNDATION = "/System/Library/Frameworks/CoreFoundation.framework/CoreFoundation"


def sysctl(name: str) -> int | None:
    """The number that the kernel keeps under this name, None where there is none, and on other systems."""
    ask = _function("sysctlbyname")
    if ask is None:
        return None
    value, size = ctypes.c_uint64(0), ctypes.c_size_t(ctypes.sizeof(ctypes.c_uint64))
    # Of a number of four bytes the others stay zero: all of these machines are little-endian.
    failed = ask(name.encode("ascii"), ctypes.byref(value), ctypes.byref(size), None, ctypes.c_size_t(0))
    return value.value if not failed and value.value else None


def available_memory() -> int | None:
    """Bytes that iOS still lets this process have before it ends it (os/proc.h, iOS 13); None elsewhere."""
    ask = _function("os_proc_available_memory")
    if ask is None:
        return None
    ask.restype = ctypes.c_size_t
    return int(ask()) or None  # it says 0 of a process without a limit


def keep_out_of_backups(folder: Path) -> bool:
    """Have the system's backups, iCloud's too, leave a folder out; False where they don't, as on any other.

    CFURLSetResourcePropertyForKey with kCFURLIsExcludedFromBackupKey (CoreFoundation, CFURL.h).
    """
    try:
        foundation = ctypes.CDLL(_FOUNDATION)
    except OSError:
        return False
    make_url = foundation.CFURLCreateFromFileSystemRepresentation
    make_url.restype = ctypes.c_void_p
    make_url.argtypes = (ctypes.c_void_p, ctypes.c_char_p, ctypes.c_long, ctypes.c_bool)
    set_property = foundation.CFURLSetResourcePropertyForKey
    set_property.restype = ctypes.c_bool
    set_property.argtypes = (ctypes.c_void_p,) * 4
    release = foundation.CFRelease
    release.restype, release.argtypes = None, (ctypes.c_void_p,)
    key = ctypes.c_void_p.in_dll(foundation, "kCFURLIsExcludedFromBackupKey")
    true = ctypes.c_void_p.in_dll(foundation, "kCFBooleanTrue")
    path = os.fsencode(folder)
    url = make_url(None, path, len(path), True)
    if not url:
        return False
    try:
        return bool(set_property(url, key, true, None))
    finally:
        release(url)


def _function(name: str) -> Any:
    """The system library's function, None where it has none of this name."""
    return getattr(ctypes.CDLL(None), name, None)
