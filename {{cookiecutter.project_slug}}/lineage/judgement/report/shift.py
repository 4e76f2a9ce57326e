"""Whether the data of one side look otherwise than those of the other."""

from __future__ import annotations

from ...base.errors import LineageError
from ...base.markdown import plain, table
from ...contract import Role
from ...records.profile import Profile
from ..diff.sides import Side
from ..drift import compare


def shift(a: Side, b: Side) -> tuple[str, list[str]]:
    """A line and a table. The values of columns are not named: of a small group, a count may be somebody's."""
    datasets = [side.recorded.made(Role.DATASET) for side in (a, b)]
    if datasets[0] == datasets[1] is not None:
        return "none, the dataset version is the same", []
    found = compare(_profile(a, datasets[0]), _profile(b, datasets[1]))
    rows = [
        [plain(each.name), f"{each.psi:.3f}", f"{each.p_corrected:.3g}", "drifted" if each.drifted else ""]
        for each in sorted(found.features, key=lambda each: -each.psi)
    ]
    said = plain(str(found))
    return said, [
        *table(["", "PSI", "p, corrected", ""], rows),
        *(f"- not compared: {plain(x)}" for x in found.not_compared),
    ]


def _profile(side: Side, dataset: str | None) -> Profile:
    if dataset is None:
        raise LineageError(f"dvc.lock of {side.title} records no dataset version")
    md5 = side.recorded.profile_of(dataset)
    if md5 is None:
        raise LineageError(f"the dataset version of {side.title} has no profile")
    try:
        return Profile.from_json(side.evidence.objects.read(md5))
    except ValueError as error:
        raise LineageError(f"the profile of {side.title} cannot be read: {error}") from None
