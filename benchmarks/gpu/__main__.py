"""`python -m ohlora_fast.benchmarks.gpu`."""

import sys

from ohlora_fast.benchmarks.gpu.command import main

if __name__ == "__main__":
    sys.exit(main())
