"""Over how many sets of its arrays must a case rotate, so that the cache does not serve what memory should?"""

from __future__ import annotations

from collections.abc import Sequence

from bandmark.judge.warnings import DRAM_FROM
from bandmark.suites.plan import Case, laid_out_anew

ROTATE_OVER = 5
"""The sets fill this many last-level caches, and one set more, so that none is read again while it is cached: as
FlashInfer's benchmarks do, with a margin over the 1.7 caches from which cyclic reads run at the speed of memory."""

MOST_COPIES = 64

MOST_LAYER_COPIES = 4096
"""The same for a model's matrices, which are small beside a cache of hundreds of MiB and are to be read from memory."""


def copies_for(set_bytes: int, llc_bytes: int | None, room_bytes: int, most: int = MOST_COPIES) -> int:
    """Return how many sets launches rotate over: 1 unless the cache could hold them, and no more than have room.

    Args:
        set_bytes: bytes of all arrays of a case.
        llc_bytes: the last-level cache; None if unknown.
        room_bytes: what all sets of the case may take.
        most: how many sets there may be.
    """
    llc = llc_bytes or 0
    if set_bytes >= DRAM_FROM * llc:
        return 1
    wanted = -(-ROTATE_OVER * llc // set_bytes) + 1
    return max(1, min(wanted, most, room_bytes // set_bytes))


def group_copies(cases: Sequence[Case]) -> int:
    """Return over how many sets each case of a group rotates: the same for all, since they will be compared.

    On a CPU only a model's matrices rotate: who asks for arrays of a few KiB there asks for its caches, as STREAM's
    users do. A GPU's last-level cache is no target of its own, and its kernels are meant for data in memory.
    """
    cases = [case for case in cases if case.skip_reason is None]
    if not cases or (cases[0].backend.threads is not None and cases[0].layer is None):
        return 1
    kernel, backend, layer = cases[0].kernel, cases[0].backend, cases[0].layer
    set_bytes = kernel.working_set(cases[0].shape, cases[0].dtype)
    # Libraries on a CPU share their sets; on a device each case has its own.
    sets = 1 if backend.threads is not None else len(cases)
    room = backend.budget().default_bytes // (sets + laid_out_anew(kernel, [case.backend for case in cases]))
    return copies_for(set_bytes, backend.device.llc_bytes, room, MOST_LAYER_COPIES if layer else MOST_COPIES)
