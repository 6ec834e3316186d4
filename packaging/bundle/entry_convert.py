"""The bundle's converter."""

import multiprocessing
import sys

if __name__ == "__main__":
    multiprocessing.freeze_support()  # first, as in entry_chatbelle.py
    from convert.cli import main

    sys.exit(main())
