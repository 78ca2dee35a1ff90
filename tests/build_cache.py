"""Keep what the tests compile in a folder of the checkout, under a name that is a hash of everything it depends on.

`make clean` empties it. Processes that want the same file at once (pytest-xdist) build it once.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
from collections.abc import Callable
from pathlib import Path

FOLDER = Path(__file__).parents[1] / ".cache"


def cached(suffix: str, depends_on: object, build: Callable[[Path], None], folder: Path = FOLDER) -> Path:
    """Return the file that `build` writes to the path it is given, building it unless it is there already.

    Args:
        suffix: of the file's name; it is part of what the name is a hash of.
        depends_on: everything that the file's contents follow from; its repr is hashed.
        build: writes the file. What it raises leaves nothing in the cache.
        folder: where the files are.
    """
    name = hashlib.sha256(repr((suffix, depends_on)).encode()).hexdigest()[:24]
    file = folder / f"{name}{suffix}"
    if file.exists():
        return file
    folder.mkdir(parents=True, exist_ok=True)
    with open(folder / f"{name[:2]}.lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not file.exists():
            draft = folder / f"{name}.draft{suffix}"
            build(draft)
            os.replace(draft, file)
    return file
