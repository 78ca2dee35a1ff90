"""How are arrays cut so that a second pass over a block finds it in cache?"""

from __future__ import annotations

from typing import Any

BLOCK_BYTES = 512 * 1024
"""Bytes per array and block: three such blocks fit the 2 MiB of second-level cache of current server cores, and a
call on one lasts long enough that Python's own cost, and its global lock, stay under a tenth."""


def cache_blocks(*arrays: Any) -> list[tuple[Any, ...]]:
    """Cut equally long vectors into blocks of BLOCK_BYTES, made once so that a launch allocates nothing."""
    step = max(1, BLOCK_BYTES // arrays[0].itemsize)
    return [tuple(x[k : k + step] for x in arrays) for k in range(0, len(arrays[0]), step)]
