"""Runs in every program of the bundle before its entry point.

What PyInstaller's bootloader set for this process must not reach the ones it starts: a browser would take
libstdc++ and OpenSSL from the bundle, and a program of the bundle would believe it is a part of this process.
The dynamic linker has read its variables by now, so that this process itself loses nothing.
"""

import ctypes
import os
import sys

for _name in ("LD_LIBRARY_PATH", "DYLD_LIBRARY_PATH", "DYLD_FRAMEWORK_PATH"):
    _before = os.environ.pop(f"{_name}_ORIG", None)
    os.environ.pop(_name, None)
    if _before is not None:
        os.environ[_name] = _before
for _name in [name for name in os.environ if name.startswith("_PYI_")]:
    del os.environ[_name]

# belle-convert uses the kernels but not the Python package beside which they are looked for.
os.environ["LLAMA_CPP_LIB_PATH"] = os.path.join(sys._MEIPASS, "llama_cpp", "lib")  # noqa: SLF001

# The first libstdc++ that is loaded is everybody's. Ours is as old as the oldest system that the bundle is
# for: the system's WebKitGTK could not be loaded with it, while what is in the bundle is content with any
# later one.
if sys.platform == "linux":
    for _name in ("libgcc_s.so.1", "libstdc++.so.6"):
        try:
            ctypes.CDLL(_name)
        except OSError:  # a small server may have none
            ctypes.CDLL(os.path.join(sys._MEIPASS, "fallback", _name))  # noqa: SLF001
