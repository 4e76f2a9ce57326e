"""Between which values the accuracy would lie on other test records of the same kind."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

LEVEL = 0.95


def interval_scores(right: NDArray[np.bool_], subjects: Sequence[str], min_subjects: int) -> dict[str, float]:
    """`subjects`: how many there are; `accuracy_low` and `accuracy_high`, where these are enough to say.

    `right` and `subjects` have an element for each record.
    """
    known, owners = np.unique(np.array(subjects, dtype=object), return_inverse=True)
    people = len(known)
    if people < max(2, min_subjects):
        return {"subjects": people}
    low, high = accuracy_interval(right.astype(np.float64), owners)
    return {"subjects": people, "accuracy_low": low, "accuracy_high": high}


def accuracy_interval(right: NDArray[np.float64], subjects: NDArray[np.int64]) -> tuple[float, float]:
    """A 95% interval of a share of records, where records of one subject are not independent.

    Wilson's interval (1927), at the number of independent records that say as much as these (Korn and Graubard 1998):
    the variance between subjects is measured, and more than independent records can say is never claimed. Where all
    are right, or none, that variance is unknown, and each subject counts as one record. Unlike a bootstrap, it is not
    empty there. Nor is it known where few are wrong: then no more is claimed than if none were. `right`: 1.0 or 0.0 for
    each record; `subjects`: the number of its subject.
    """
    from scipy.special import stdtrit  # scipy.stats takes a second to import

    _, places = np.unique(subjects, return_inverse=True)
    records, people = len(right), int(places.max()) + 1
    share = float(right.mean())
    worth = float(people)
    if 0 < share < 1:
        residuals = np.bincount(places, right - share)
        variance = people / (people - 1) * float(residuals @ residuals) / records**2
        worth = min(records, share * (1 - share) / variance) if variance else float(records)
    tail = (1 + LEVEL) / 2
    z = float(stdtrit(people - 1, tail))  # wider than the normal quantile, as few subjects say little of their variance
    middle = (share + z * z / (2 * worth)) / (1 + z * z / worth)
    half = z / (1 + z * z / worth) * math.sqrt(share * (1 - share) / worth + z * z / (4 * worth * worth))
    all_right = people / (people + z * z)  # the lower end if all were right; 1 less it, the upper one if none were
    return max(0.0, min(middle - half, all_right)), min(1.0, max(middle + half, 1 - all_right))
