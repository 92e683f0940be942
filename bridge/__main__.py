"""`python -m bridge` is `aom-bridge`."""

import sys

from bridge.cli import main

sys.exit(main())
