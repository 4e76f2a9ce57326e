"""Whether two profiles differ: PSI and a chi-square test for each of their histograms, corrected for their number.

Drift is what both say: the shares differ by more than a little (PSI), and by more than chance would make of as many
records (test). Each alone errs: PSI is large for few records that are alike, a test finds every trifle in many.

PSI, the population stability index, is the symmetric Kullback-Leibler divergence of two histograms: Lin, "Examining the
distributional shift by using Population Stability Index", 2017. The p-values are corrected by Benjamini and Hochberg
(1995): of what is named, a share of at most LEVEL is named by chance.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..records.profile import CHANNELS, EDGES, MOST_VALUES, Profile

LEVEL = 0.05
PSI = 0.1  # from here on shares differ moderately, from 0.25 on much: the usual reading
LEAST_RECORDS = 50  # on either side: with fewer, only the grossest drift shows, and its absence says nothing
GROUPS = 10  # of about equal size in the reference, into which the bins of a histogram are brought
LEAST_EXPECTED = 5.0  # records of a kind, below which kinds are taken together (Cochran 1954)
RARE = "(rare)"
MOST_RARE = 0.5  # share of the records that may count together as such: of these, nobody sees which kinds they are
NO_DRIFT, DRIFT, INCONCLUSIVE = "no drift", "drift", "INCONCLUSIVE"

Counts = NDArray[np.float64]


@dataclass
class Feature:
    """One histogram on both sides."""

    name: str
    psi: float
    p: float
    groups: list[str]  # what is compared: ranges of values, or kinds
    before: list[float]  # share of the records in each group
    after: list[float]
    p_corrected: float = 1.0
    new: list[str] = field(default_factory=list)  # kinds that the reference does not have at all
    gone: list[str] = field(default_factory=list)  # kinds that only the reference has

    @property
    def drifted(self) -> bool:
        return self.psi >= PSI and self.p_corrected < LEVEL


@dataclass
class Drift:
    """The answer."""

    before: dict[str, int]  # records and subjects of the reference
    after: dict[str, int]  # likewise; without subjects where nothing names them
    features: list[Feature]
    not_compared: list[str]
    unknown: list[str]  # why nobody can say

    @property
    def drifted(self) -> list[Feature]:
        """What has drifted, the worst first."""
        return sorted((each for each in self.features if each.drifted), key=lambda each: -each.psi)

    @property
    def verdict(self) -> str:
        """Too few records, or what could not be read, make the absence of drift unknown, not its presence."""
        if self.drifted and self.before["records"] >= LEAST_RECORDS and self.after["records"] >= LEAST_RECORDS:
            return DRIFT
        return INCONCLUSIVE if self.unknown or not self.features else NO_DRIFT

    def __str__(self) -> str:
        looked_at = f"{len(self.features)} histograms of {self.before['records']} and {self.after['records']} records"
        if self.verdict == INCONCLUSIVE:
            return f"INCONCLUSIVE: {'; '.join(self.unknown or self.not_compared or ['nothing could be compared'])}"
        if self.verdict == NO_DRIFT:
            return f"no drift in {looked_at}"
        named = ", ".join(f"{each.name} (PSI {each.psi:.2f})" for each in self.drifted)
        return f"drift in {len(self.drifted)} of {looked_at}: {named}"

    def to_dict(self) -> dict[str, Any]:
        """For JSON."""
        features = [{**asdict(each), "drifted": each.drifted} for each in self.features]
        return {"verdict": self.verdict, **asdict(self), "features": features}


def against_file(reference: Path, profile: Profile) -> Drift:
    """How a profile differs from that in a file; INCONCLUSIVE if the file is no profile."""
    try:
        return compare(Profile.from_json(reference.read_bytes()), profile)
    except (ValueError, OSError) as error:
        return Drift(
            _size([]), _size([*profile.splits.values()]), [], [], [f"{reference.name} cannot be read: {error}"]
        )


def compare(reference: Profile, other: Profile, splits: Sequence[str] = ()) -> Drift:
    """How `other` differs from `reference`, in all records of both, or in those of some splits of both."""
    before, after = (_chosen(profile, splits) for profile in (reference, other))
    drift = Drift(_size(before), _size(after), [], [], [])
    for name, size in (("the reference", drift.before), ("the other side", drift.after)):
        if size["records"] < LEAST_RECORDS:
            drift.unknown.append(f"{name} has {size['records']} records, and less than {LEAST_RECORDS} say nothing")
    if not drift.before["records"] or not drift.after["records"]:
        return drift
    if differing := [key for key in reference.image if reference.image[key] != other.image.get(key)]:
        key = differing[0]
        drift.unknown.append(
            f"the images were brought to pixels in two ways: data.image.{key} is {reference.image[key]} and "
            f"{other.image.get(key)}"
        )
        return drift
    drift.features += _histograms(reference, other, before, after, drift)
    drift.features += _kinds(before, after, drift)
    _correct(drift.features)
    return drift


def _chosen(profile: Profile, splits: Sequence[str]) -> list[dict[str, Any]]:
    return [each for name, each in profile.splits.items() if not splits or name in splits]


def _size(splits: Sequence[Mapping[str, Any]]) -> dict[str, int]:
    return {name: sum(each[name] for each in splits) for name in ("records", "subjects")}


def _histograms(
    reference: Profile, other: Profile, before: list[dict[str, Any]], after: list[dict[str, Any]], drift: Drift
) -> list[Feature]:
    names, found = [*EDGES, *CHANNELS[reference.image["channels"]]], []
    for name in names:
        one, two = (_total([each["histograms"].get(name) for each in side]) for side in (before, after))
        # preprocess measures every image in all of these: what is not there may be what has drifted
        if one is None or two is None:
            drift.unknown.append(f"{name} was not measured on {'both sides' if one is two else 'one side'}")
            continue
        if reference.edges.get(name) != other.edges.get(name):
            drift.unknown.append(f"{name} was counted in other bins")
            continue
        pixels = name not in EDGES  # those of one image say as much as one record, at the least
        counted = [side.sum() / (reference.image["size"] ** 2 if pixels else 1) for side in (one, two)]
        if counted != [drift.before["records"], drift.after["records"]]:
            drift.unknown.append(f"{name} was not measured of all images")
            continue
        if pixels:
            one, two = one * drift.before["records"] / one.sum(), two * drift.after["records"] / two.sum()
        ends = _groups(one, two)
        groups = [_range(reference.edges[name], begin, end) for begin, end in zip([0, *ends], ends, strict=False)]
        found.append(
            _feature(f"{name} of pixels" if pixels else name, groups, _grouped(one, ends), _grouped(two, ends))
        )
    return found


def _kinds(before: list[dict[str, Any]], after: list[dict[str, Any]], drift: Drift) -> list[Feature]:
    found = []
    columns = [[*dict.fromkeys(name for each in side for name in each["columns"])] for side in (before, after)]
    for name in dict.fromkeys([*columns[0], *columns[1]]):
        if name not in columns[0] or name not in columns[1]:
            drift.not_compared.append(f"{name}, which only one side has")
            continue
        one, two = (_added([each["columns"].get(name, {}) for each in side]) for side in (before, after))
        if not one or not two:
            drift.not_compared.append(f"{name}, which has no value on one side, or more than {MOST_VALUES}")
            continue
        found += _if_comparable(name, one, two, drift)
    one, two = (_added([each["classes"] for each in side]) for side in (before, after))
    if not one or not two:
        drift.not_compared.append("classes, which one side does not have")
        return found
    return [*_if_comparable("class", one, two, drift), *found]


def _if_comparable(name: str, before: Mapping[str, int], after: Mapping[str, int], drift: Drift) -> list[Feature]:
    """The kinds of both sides; none where so little of them can be compared that they would look alike in any case."""
    for of, kinds, size in (("the reference", before, drift.before), ("the other side", after, drift.after)):
        if (valued := sum(kinds.values())) < size["records"]:
            drift.not_compared.append(f"{name} of {size['records'] - valued} records of {of}, which have none")
        if valued < LEAST_RECORDS:
            drift.not_compared.append(f"{name}, which only {valued} records of {of} have")
            return []
    feature = _feature_of_kinds(name, before, after)
    if feature.groups[-1] == RARE and max(feature.before[-1], feature.after[-1]) > MOST_RARE:
        drift.not_compared.append(
            f"{name}, most of whose kinds have too few records ({len(feature.new)} are new, {len(feature.gone)} gone)"
        )
        return []
    return [feature]


def _feature_of_kinds(name: str, before: Mapping[str, int], after: Mapping[str, int]) -> Feature:
    """Kinds of which few are expected on both sides count together."""
    kinds = sorted({*before, *after})
    one, two = (np.array([side.get(kind, 0) for kind in kinds], np.float64) for side in (before, after))
    rare = ~_is_enough(one, two, (one.sum(), two.sum()))
    if rare.sum() > 1:
        groups = [kind for kind, is_rare in zip(kinds, rare, strict=True) if not is_rare]
        one, two = (np.append(side[~rare], side[rare].sum()) for side in (one, two))
        feature = _feature(name, [*groups, RARE], one, two)
    else:
        feature = _feature(name, kinds, one, two)
    feature.new, feature.gone = sorted({*after} - {*before}), sorted({*before} - {*after})
    return feature


def _feature(name: str, groups: list[str], before: Counts, after: Counts) -> Feature:
    shares = [(side / side.sum()).round(4).tolist() for side in (before, after)]
    return Feature(name, round(_psi(before, after), 4), _chi_square(before, after), groups, *shares)


def _psi(before: Counts, after: Counts) -> float:
    """Of counts; half a record is added to each, so that a group that is empty on one side is not infinite."""
    one, two = ((side + 0.5) / (side.sum() + 0.5 * len(side)) for side in (before, after))
    return float(((two - one) * np.log(two / one)).sum())


def _chi_square(before: Counts, after: Counts) -> float:
    from scipy.stats import chi2_contingency

    table = np.stack([before, after])
    table = table[:, table.sum(axis=0) > 0]
    return float(chi2_contingency(table, correction=False).pvalue) if table.shape[1] > 1 else 1.0


def _correct(features: list[Feature]) -> None:
    from scipy.stats import false_discovery_control

    if features:
        corrected = false_discovery_control([each.p for each in features], method="bh")
        for each, value in zip(features, corrected, strict=True):
            each.p_corrected = float(value)


def _groups(before: Counts, after: Counts) -> list[int]:
    """Behind which bins groups end that have about equal shares of the reference, and enough records on both sides.

    What lies where the reference has nothing, outside of it or in a gap, would vanish in the group beside it: it is a
    group of its own, if it is of some size.
    """
    wanted = max(before.sum() / GROUPS, LEAST_EXPECTED)
    sizes = before.sum(), after.sum()
    edges = np.flatnonzero(np.diff(before > 0)) + 1
    ends, mine, theirs = list[int](), 0.0, 0.0
    for place in range(len(before)):
        mine, theirs = mine + before[place], theirs + after[place]
        if (mine >= wanted or place + 1 in edges) and _is_enough(mine, theirs, sizes):
            ends.append(place + 1)
            mine = theirs = 0.0
    if ends and ends[-1] < len(before):
        if not _is_enough(mine, theirs, sizes):
            ends.pop()
        ends.append(len(before))
    return ends or [len(before)]


def _is_enough(before: Any, after: Any, sizes: tuple[float, float]) -> Any:
    """Whether a group, or each of some, has enough records to be compared alone, of sides with so many in all.

    Either enough are expected of the smaller side, if both sides are alike; or the share that one side has in it is so
    large that they are not, and must not vanish in another group because the other side has many records elsewhere.
    """
    least = min(sizes)
    expected = (before + after) * least / sum(sizes)
    alone = np.maximum(before / sizes[0], after / sizes[1]) * least
    return (expected >= LEAST_EXPECTED) | (alone >= 2 * LEAST_EXPECTED)


def _grouped(counts: Counts, ends: Sequence[int]) -> Counts:
    return np.add.reduceat(counts, [0, *ends[:-1]])


def _range(edges: Sequence[float], begin: int, end: int) -> str:
    """The values in the bins from `begin` to the one before `end`."""
    if begin == 0:
        return f"< {edges[end - 1]:g}" if end <= len(edges) else "all"
    return f"{edges[begin - 1]:g} - {edges[end - 1]:g}" if end <= len(edges) else f">= {edges[begin - 1]:g}"


def _total(histograms: Sequence[Sequence[int] | None]) -> Counts | None:
    found = [np.array(each, np.float64) for each in histograms if each is not None]
    total = np.sum(found, axis=0) if found else None
    return total if total is not None and total.sum() else None


def _added(counts: Sequence[Mapping[str, int]]) -> dict[str, int]:
    found = Counter[str]()
    for each in counts:
        found.update(each)
    return found
