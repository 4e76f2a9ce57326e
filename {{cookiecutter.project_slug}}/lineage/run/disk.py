"""What a person reads when the disk, and not the work, is what failed."""

from __future__ import annotations

import errno

REASONS = {
    errno.ENOSPC: "the disk is full. Make room",
    errno.EDQUOT: "the quota of the disk is used up. Make room",
    errno.EFBIG: "a file would become larger than this system allows. Raise the limit (`ulimit -f`)",
    errno.EROFS: "it is read-only. Make it writable",
    errno.EACCES: "permission denied. Make it writable",
    errno.EPERM: "the operation is not permitted. Make it writable",
}


def sentence(error: OSError) -> str | None:
    """What to do about an error of the disk; None if it is another error."""
    reason = REASONS.get(error.errno or 0)
    if reason is None:
        return None
    where = f"{error.filename}: " if error.filename else ""
    return f"{where}{reason}, then run this again. Nothing was put in place."
