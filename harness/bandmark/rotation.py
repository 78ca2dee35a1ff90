"""Over how many sets of its arrays must a case rotate, so that the cache does not serve what memory should?"""

from __future__ import annotations

from collections.abc import Sequence

from bandmark.judge import DRAM_FROM
from bandmark.plan import Case

ROTATE_OVER = 5
"""The sets fill this many last-level caches, and one set more, so that none is read again while it is cached: as
FlashInfer's benchmarks do, with a margin over the 1.7 caches from which cyclic reads run at the speed of memory."""

MOST_COPIES = 64


def copies_for(set_bytes: int, llc_bytes: int | None, room_bytes: int) -> int:
    """Return how many sets launches rotate over: 1 unless the cache could hold them, and no more than have room.

    Args:
        set_bytes: bytes of all arrays of a case.
        llc_bytes: the last-level cache; None if unknown.
        room_bytes: what all sets of the case may take.
    """
    llc = llc_bytes or 0
    if set_bytes >= DRAM_FROM * llc:
        return 1
    wanted = -(-ROTATE_OVER * llc // set_bytes) + 1
    return max(1, min(wanted, MOST_COPIES, room_bytes // set_bytes))


def group_copies(cases: Sequence[Case]) -> int:
    """Return over how many sets each case of a group rotates: the same for all, since they will be compared.

    Cases on a CPU share one set, which rotates over nothing.
    """
    cases = [case for case in cases if case.skip_reason is None and case.backend.threads is None]
    if not cases:
        return 1
    kernel, backend = cases[0].kernel, cases[0].backend
    set_bytes = kernel.working_set(cases[0].shape, cases[0].dtype)
    return copies_for(set_bytes, backend.device.llc_bytes, backend.budget().default_bytes // len(cases))
