"""Trunkline measured beside PgBouncer, PostgreSQL itself and the floor, always in one run.

Run ``python -m bench`` (or ``make bench``) from the root of the repository. Two rules hold for every figure:

1. Contenders take turns within each round, so that whatever disturbs the machine disturbs all of them alike.
2. What is compared are ratios of one round, and of those the median; bare times are shown only to explain them.
"""

import sys
from importlib.util import find_spec
from pathlib import Path

if find_spec("trunkline") is None:  # built in place, not installed
    sys.path.append(str(Path(__file__).parents[1] / "src"))
