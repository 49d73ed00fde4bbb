"""``python -m ordermgmt``: the library on the command line."""

import sys

from ordermgmt.cli import main

if __name__ == "__main__":
    sys.exit(main())
