"""How sure the difference between two models on the same records is: an interval by the bootstrap.

The records of one subject are not independent of each other, so subjects are drawn, each with all of its records
("cluster bootstrap": Field and Welsh, https://doi.org/10.1111/j.1467-9868.2007.00593.x). Two models are compared record
by record before anything is drawn: what both find hard then widens nothing.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import ArrayLike, NDArray

# Of fewer subjects the bootstrap draws intervals that are too narrow (Cameron, Gelbach and Miller,
# https://doi.org/10.1162/rest.90.3.414): then there is none, and whoever shows the value says that it is too small.
LEAST_GROUPS = 20
RESAMPLES = 2_000
AT_ONCE = 2**22  # subjects that are drawn at the same time, of all resamples together: some tens of MB


@dataclass(frozen=True)
class PairedDifference:
    """The mean of `after - before` over the same records, and between which values it lies with the level asked for.

    `low` and `high` are None where there are too few subjects, or nothing in the data says how much it could vary.
    """

    value: float
    low: float | None
    high: float | None
    records: int
    groups: int  # subjects

    @property
    def is_sure(self) -> bool:
        """Whether there is an interval, and 0 is not in it."""
        return self.low is not None and self.high is not None and (self.low > 0 or self.high < 0)

    @property
    def is_too_small(self) -> bool:
        """Whether there are too few subjects to say anything."""
        return self.groups < LEAST_GROUPS


def paired_difference(
    before: ArrayLike,
    after: ArrayLike,
    groups: ArrayLike | None = None,
    *,
    seed: int = 0,
    resamples: int = RESAMPLES,
    level: float = 0.95,
) -> PairedDifference:
    """By how much `after` is above `before` in the mean over the records, with an interval.

    `before`, `after`: one score a record, shape (records,), of the same records in the same order: 1.0 for right and
    0.0 for wrong, for example. `groups`: the subject of each record; without, each record is its own. `seed`: equal
    arguments give equal intervals. Raises ValueError for no records, other shapes, or scores that are no numbers.
    """
    first, second = _scores(before), _scores(after)
    if first.shape != second.shape:
        raise ValueError(f"{len(first)} scores before and {len(second)} after are not of the same records")
    values, is_bounded = second - first, _are_right_or_wrong(first) and _are_right_or_wrong(second)
    sums, counts = _by_group(values, groups)
    mean, size = float(values.mean()), len(sums)
    low, high = _interval(values, sums, counts, (seed, resamples, level), is_bounded=is_bounded)
    return PairedDifference(mean, low, high, len(values), size)


def _interval(
    values: NDArray[np.float64],
    sums: NDArray[np.float64],
    counts: NDArray[np.float64],
    how: tuple[int, int, float],  # seed, resamples, level
    *,
    is_bounded: bool,  # no value is below -1 or above 1
) -> tuple[float | None, float | None]:
    import numpy as np

    mean, size, level = float(values.mean()), len(sums), how[2]
    if size < LEAST_GROUPS:
        return None, None
    if np.ptp(values) == 0:
        return _without_variation(mean, size, level) if is_bounded else (None, None)
    low, high = _drawn(sums, counts, *how)
    if is_bounded:
        low, high = _with_unseen(sums, mean, low, high, level)
    # or all subjects have the same mean, as a whole, of records that differ
    return (low, high) if low < high else (None, None)


def _drawn(
    sums: NDArray[np.float64], counts: NDArray[np.float64], seed: int, resamples: int, level: float
) -> tuple[float, float]:
    import numpy as np
    from scipy.stats import bootstrap

    def mean_over_records(sums: Any, counts: Any, axis: int = -1) -> Any:
        return sums.sum(axis=axis) / counts.sum(axis=axis)

    found = bootstrap(
        (sums, counts),
        mean_over_records,
        paired=True,
        vectorized=True,
        n_resamples=resamples,
        batch=max(1, AT_ONCE // len(sums)),
        confidence_level=level,
        method="percentile",  # BCa has no answer where leaving out any one subject changes nothing
        rng=np.random.default_rng(seed),
    ).confidence_interval
    return float(found.low), float(found.high)


def _without_variation(mean: float, size: int, level: float) -> tuple[float, float]:
    """Where all records have one value: no draw would show another, and yet the next subject may.

    Of so many subjects that all agree, the share of those that do not is below the exact limit for none seen (Clopper
    and Pearson); each of them could be at either end of the scale.
    """
    from scipy.stats import binomtest

    others = float(binomtest(0, size).proportion_ci(level, method="exact").high)
    return mean - others * (mean + 1.0), mean + others * (1.0 - mean)


def _with_unseen(sums: NDArray[np.float64], mean: float, low: float, high: float, level: float) -> tuple[float, float]:
    """Where no subject got worse, no draw shows one that did, and yet the next may; the same of better.

    The exact limit for none seen, and the width that was drawn, are put together by their squares (MOVER: Zou and
    Donner, https://doi.org/10.1002/sim.3095).
    """
    from scipy.stats import binomtest

    others = float(binomtest(0, len(sums)).proportion_ci(level, method="exact").high)
    if low < high and not (sums < 0).any():
        low = mean - math.hypot(mean - low, others)
    if low < high and not (sums > 0).any():
        high = mean + math.hypot(high - mean, others)
    return low, high


def _by_group(values: NDArray[np.float64], groups: ArrayLike | None) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """The sum of the values of each group, and how many there are."""
    import numpy as np

    if groups is None:
        return values, np.ones(len(values))
    named = np.asarray(groups)
    if named.shape != values.shape:
        raise ValueError(f"{len(values)} scores have {len(named)} groups")
    _, group = np.unique(named, return_inverse=True)
    return np.bincount(group, weights=values).astype(np.float64), np.bincount(group).astype(np.float64)


def _scores(given: ArrayLike) -> NDArray[np.float64]:
    import numpy as np

    scores = np.asarray(given, dtype=np.float64)
    if scores.ndim != 1 or len(scores) == 0:
        raise ValueError(f"there must be a score for each of some records, not {scores.shape}")
    if not np.isfinite(scores).all():
        raise ValueError("some scores are no numbers")
    return scores


def _are_right_or_wrong(values: NDArray[np.float64]) -> bool:
    import numpy as np

    return bool(np.isin(values, (0.0, 1.0)).all())
