"""`python -m throughcare_events`: see `kit/command.py`."""

import sys

from .kit.command import main

sys.exit(main())
