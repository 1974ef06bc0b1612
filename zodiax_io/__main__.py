"""`python -m zodiax_io`, where the `zodiax-io` command is not on the path."""

import sys

from ._cli.main import main

if __name__ == "__main__":
    sys.exit(main())
