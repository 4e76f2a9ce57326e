"""The raw data of a model, counted in the cache of this clone, and what of them is not in its dataset version."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..base.errors import ProjectError
from ..dvc.objects import Objects
from ..records.consent import active, read_snapshot
from ..records.layout import RECORDS

if TYPE_CHECKING:
    import pyarrow as pa

MANY = 5_000_000  # records; of more, subjects and classes are not counted: a page is made within seconds


@dataclass(frozen=True)
class Counted:
    """What raw data hold. What was not counted is None, and `unknown` says why."""

    records: int | None = None
    subjects: int | None = None
    classes: dict[str, int] | None = None  # records by label
    without_consent: dict[str, int] | None = None  # records; subjects revoked; subjects that the registry has not
    unknown: str = ""


@dataclass(frozen=True)
class LeftOut:
    """Why records of the raw data are not in the dataset version, and how many; None: nobody knows."""

    why: str
    records: int | None
    more: str = ""


@cache
def count_raw(objects: Objects, raw: str | None, consent: str | None) -> Counted:
    """Counts the raw data of this hash, and those that the consent snapshot keeps out, without fetching anything.

    Bytes of the cache are taken as they are: `lineage verify` looks whether they are the right ones.
    """
    if raw is None:
        return Counted(unknown="nothing records the hash of the raw data")
    try:
        name = objects.listing(raw).get(RECORDS)
    except ProjectError:
        return Counted(unknown="neither the cache here nor the DVC remote lists their files: `lineage data pull`")
    path = objects.cached(name) if name else None
    if path is None:
        return Counted(unknown="their bytes are not in the cache here: `dvc pull` brings them")
    try:
        return _count(path, objects.cached(consent) if consent else None)
    except Exception as error:  # a file of others, of any content
        return Counted(unknown=f"they cannot be read: {type(error).__name__}")


def _count(path: Path, consent: Path | None) -> Counted:
    import pyarrow.parquet as pq

    records = pq.read_metadata(path).num_rows
    if records > MANY:
        return Counted(records, unknown=f"of more than {MANY:,} records, subjects and classes are not counted here")
    table = pq.read_table(path, columns=["subject_id", "label"])
    labels = {str(each["values"]): int(each["counts"]) for each in table["label"].value_counts().to_pylist()}
    kept_out = _without_consent(table, consent) if consent else None
    return Counted(records, len(table["subject_id"].unique()), dict(sorted(labels.items())), kept_out)


def _without_consent(table: pa.Table, consent: Path) -> dict[str, int]:
    from ..records.preparation import left_out

    statuses = read_snapshot(consent)
    counts = left_out(table, statuses, active(statuses))
    return {name.removeprefix("left_out_"): int(count) for name, count in counts.items()}


def left_out(
    counted: Counted, kept: dict[str, int] | None, parameters: dict[str, Any], *, asked_consent: bool
) -> list[LeftOut]:
    """Every record of the raw data that is not in the dataset version, for one reason each; empty if all are in it.

    `kept` are the records of the dataset version by split, `parameters` those of the stages, by dotted key.
    """
    if counted.records is None or kept is None:
        return [LeftOut("how many, and why", None, counted.unknown or "the dataset version cannot be read here")]
    rest, found = counted.records - sum(kept.values()), []
    if asked_consent and (consent := counted.without_consent) is None:
        return [LeftOut("in all; how many for want of consent", rest, "is unknown: the snapshot is not in the cache")]
    if asked_consent and consent:
        revoked, unlisted = consent["subjects_revoked"], consent["subjects_unlisted"]
        said = f"subjects whose consent is not active: {revoked}; not in the registry: {unlisted}"
        found.append(LeftOut("without consent", consent["records"], said))
        rest -= consent["records"]
    if rest < 0:
        more = f"{-rest} records more than the raw data have for it; `lineage verify` looks for the reason"
        return [*found, LeftOut("the counts contradict each other", None, more)]
    return [*found, LeftOut(_why(parameters), rest)] if rest else found


def _why(parameters: dict[str, Any]) -> str:
    """What the settings leave out, beside what consent does."""
    fraction = parameters.get("data.fraction")
    sampled = isinstance(fraction, int | float) and fraction < 1
    skipped = parameters.get("data.on_bad_record") == "skip"
    reasons = [f"not in the sample (data.fraction={fraction})"] if sampled else []
    reasons += ["image not readable (data.on_bad_record=skip)"] if skipped else []
    return " or ".join(reasons) or "for a reason that no setting names"
