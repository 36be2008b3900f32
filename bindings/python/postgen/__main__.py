"""`python -m postgen` is the command `postgen`."""

import sys

from .cli import main

sys.exit(main())
