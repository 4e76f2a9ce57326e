"""How the memory of this process is given back."""

from __future__ import annotations

import ctypes

M_TRIM_THRESHOLD, M_MMAP_MAX = -1, -4  # as malloc.h has them


def keep_freed_memory() -> None:
    """Has this process keep what it frees for what it needs next: for work that needs the same, batch after batch.

    glibc asks the system for each block above 32 MB and gives it back at once, and the system fills it with zeros each
    time: half of a training on the CPU at 224 pixels. What is freed counts as memory of the process until it ends.
    Where the C library is another, nothing changes. Source: mallopt(3).
    """
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is not None:
        mallopt(M_MMAP_MAX, 0)
        mallopt(M_TRIM_THRESHOLD, -1)
