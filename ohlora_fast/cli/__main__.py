"""`python -m ohlora_fast.cli` is `ohlora-fast`."""

import sys

from ohlora_fast.cli import main

if __name__ == "__main__":
    sys.exit(main())
