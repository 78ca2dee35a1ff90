"""Settings that hold for every test."""

from __future__ import annotations

import os

from hypothesis import settings

from build_cache import FOLDER

# An example takes as long as a loaded machine lets it: how fast something must be is a benchmark's business.
settings.register_profile("bandmark", deadline=None)
settings.load_profile("bandmark")

# Tests compare plain text; those about colour set these themselves.
for name in ("FORCE_COLOR", "NO_COLOR"):
    os.environ.pop(name, None)

# What Numba compiles is kept in the checkout, as what other compilers make is, and not in the user's cache.
os.environ["XDG_CACHE_HOME"] = str(FOLDER)
