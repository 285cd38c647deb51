"""`python -m savanna` is `savanna`."""

import sys

from savanna.cli import main

sys.exit(main())
