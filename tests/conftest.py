"""What holds for all tests: property tests are judged by what they find, never by how long an example takes.

`HYPOTHESIS_PROFILE=thorough` runs many more examples of each, for a night or before a release.
"""

import os

from hypothesis import settings

settings.register_profile("untimed", deadline=None)
settings.register_profile("thorough", deadline=None, max_examples=20_000)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "untimed"))
