"""The bundle's main program, with a window and at the terminal."""

import multiprocessing
import sys

if __name__ == "__main__":
    # First: a frozen program that a library starts as a helper process is this program again.
    multiprocessing.freeze_support()
    from app.cli import main

    sys.exit(main())
