"""The window on Linux: GTK 3 and WebKitGTK as the distribution has them, called through ctypes.

Not through PyGObject: that would bind a bundle to the type libraries of the system it was built on, and to
its own copies of GTK, which know neither the person's input method nor their theme.
"""
