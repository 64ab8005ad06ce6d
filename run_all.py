"""The front door: one command regenerates any table of the paper."""

import sys

from benchmark.start import main

if __name__ == "__main__":
    sys.exit(main())
