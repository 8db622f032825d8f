"""``python -m recsketch`` is the command ``recsketch``."""

import sys

from recsketch.cli.main import main

if __name__ == "__main__":
    sys.exit(main())
