"""The front door: one command regenerates any table of the paper."""

import sys

from benchmark.cli.start import main

if __name__ == "__main__":
    sys.exit(main())
