"""`python -m sweeps` is `sweeps`."""

import sys

from sweeps.cli import main

sys.exit(main())
