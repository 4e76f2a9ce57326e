"""Between which values the accuracy would lie on other test records of the same kind."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

# Of fewer subjects the bootstrap draws intervals that are too narrow (Cameron, Gelbach and Miller,
# https://doi.org/10.1162/rest.90.3.414): then there is none.
LEAST_SUBJECTS = 20
RESAMPLES, LEVEL, SEED = 2_000, 0.95, 0
AT_ONCE = 2**22  # subjects that are drawn at the same time, of all resamples together: some tens of MB


def accuracy_interval(right: NDArray[np.bool_], subjects: NDArray[np.object_]) -> dict[str, float]:
    """`subjects`: how many there are; `accuracy_low` and `accuracy_high`, where these are enough to say.

    The records of one subject are not independent, so subjects are drawn, each with all of its records (percentile
    bootstrap). `right` and `subjects` have shape (records,). The same numbers as those of `scipy.stats.bootstrap`,
    without its import of 2 s.
    """
    _, owners = np.unique(subjects, return_inverse=True)
    sums, counts = np.bincount(owners, weights=right), np.bincount(owners)
    found: dict[str, float] = {"subjects": len(counts)}
    if len(counts) < LEAST_SUBJECTS:
        return found
    low, high = _without_mistakes(len(counts)) if right.all() or not right.any() else _drawn(sums, counts)
    if not right.any():
        low, high = 1 - high, 1 - low
    return found if low == high else {**found, "accuracy_low": low, "accuracy_high": high}


def _drawn(sums: NDArray[np.float64], counts: NDArray[np.int64]) -> tuple[float, float]:
    rng, size = np.random.default_rng(SEED), len(sums)
    step, means = max(1, AT_ONCE // size), []
    for left in range(RESAMPLES, 0, -step):
        drawn = rng.integers(0, size, (min(step, left), size))
        means.append(sums[drawn].sum(axis=1) / counts[drawn].sum(axis=1))
    low, high = np.percentile(np.concatenate(means), [50 * (1 - LEVEL), 50 * (1 + LEVEL)])
    return float(low), float(high)


def _without_mistakes(size: int) -> tuple[float, float]:
    """Where so many subjects show no mistake, no draw would show one, and yet the next subject may.

    The share of those that would is below the exact limit for none seen (Clopper and Pearson).
    """
    return float(((1 - LEVEL) / 2) ** (1 / size)), 1.0


def subjects_of(predictions: Path, split: str) -> NDArray[np.object_]:
    """The subject of each record of a split, in the order of the predictions."""
    import pyarrow.compute as pc
    import pyarrow.parquet as pq

    with pq.ParquetFile(predictions) as file:  # `read_table` imports pandas
        table = file.read(columns=["subject_id", "split"])
    found: NDArray[np.object_] = np.array(
        table.filter(pc.equal(table["split"], split))["subject_id"].to_pylist(), dtype=object
    )
    return found
