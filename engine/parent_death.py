"""A worker ends with the process that started it, however that one ends.

The end of its input tells a worker so on every system, and it looks who its parent is now and then. Where the
kernel can see to it as well, it does: on Linux by a signal, on Windows by a job object.
"""

from __future__ import annotations

import ctypes
import os
import signal
import sys
from typing import Any

_PR_SET_PDEATHSIG = 1
_KILL_ON_JOB_CLOSE = 0x2000
_EXTENDED_LIMITS = 9


class Parent:
    """In the worker: whoever started it."""

    def __init__(self) -> None:
        """Have the kernel end this process with the parent's thread that started it, where it can."""
        self._pid = os.getppid()
        if sys.platform == "linux":
            ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)

    @property
    def is_alive(self) -> bool:
        """False once an orphan has another parent. On Windows only the job object knows."""
        return sys.platform == "win32" or os.getppid() == self._pid


class _BasicLimits(ctypes.Structure):
    # JOBOBJECT_BASIC_LIMIT_INFORMATION
    _fields_ = [
        ("per_process_time", ctypes.c_int64),
        ("per_job_time", ctypes.c_int64),
        ("flags", ctypes.c_uint32),
        ("minimum_working_set", ctypes.c_size_t),
        ("maximum_working_set", ctypes.c_size_t),
        ("active_processes", ctypes.c_uint32),
        ("affinity", ctypes.c_size_t),
        ("priority_class", ctypes.c_uint32),
        ("scheduling_class", ctypes.c_uint32),
    ]


class _ExtendedLimits(ctypes.Structure):
    # JOBOBJECT_EXTENDED_LIMIT_INFORMATION
    _fields_ = [
        ("basic", _BasicLimits),
        ("io_counters", ctypes.c_uint64 * 6),
        ("process_memory", ctypes.c_size_t),
        ("job_memory", ctypes.c_size_t),
        ("peak_process_memory", ctypes.c_size_t),
        ("peak_job_memory", ctypes.c_size_t),
    ]


class KillJob:
    """In the parent on Windows: a job whose processes end when its last handle closes, as ours does with us.

    Elsewhere, and where Windows refuses, it does nothing.
    """

    def __init__(self) -> None:
        self._handle: int | None = None
        if sys.platform != "win32":
            return
        kernel = _kernel()
        handle = kernel.CreateJobObjectW(None, None)
        limits = _ExtendedLimits()
        limits.basic.flags = _KILL_ON_JOB_CLOSE
        if handle and kernel.SetInformationJobObject(
            handle, _EXTENDED_LIMITS, ctypes.byref(limits), ctypes.sizeof(limits)
        ):
            self._handle = handle

    def add(self, process_handle: int) -> None:
        """Put a process into the job."""
        if self._handle is not None:
            _kernel().AssignProcessToJobObject(self._handle, process_handle)


def _kernel() -> Any:
    kernel: Any = ctypes.WinDLL("kernel32", use_last_error=True)  # type: ignore[attr-defined,unused-ignore]
    kernel.CreateJobObjectW.restype = ctypes.c_void_p
    kernel.SetInformationJobObject.argtypes = [
        ctypes.c_void_p,
        ctypes.c_int,
        ctypes.c_void_p,
        ctypes.c_uint32,
    ]
    kernel.AssignProcessToJobObject.argtypes = [ctypes.c_void_p, ctypes.c_void_p]
    return kernel
