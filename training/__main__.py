"""`python -m training` is `savanna`."""

import sys

from training.cli import main

sys.exit(main())
