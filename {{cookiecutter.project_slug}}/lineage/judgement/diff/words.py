"""The answer in words: for each section a first line and what follows, the same for a terminal and for Markdown."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from ...base.printable import some
from ..paired import LEAST_GROUPS
from .section import counted

KINDS = {
    "added": "added",
    "removed": "removed",
    "relabelled": "relabelled",
    "moved": "moved between splits",
    "rewritten": "with changed bytes",
    "reassigned": "with another subject",
}
FLIPS = {
    "right_to_wrong": "from right to wrong",
    "wrong_to_right": "from wrong to right",
    "otherwise_wrong": "wrong before and after, as another class",
}
FILES = 20
GROUPS = 10  # values of a count in one line


def first_line(found: dict[str, Any]) -> str:
    """What became of a section, and how much was looked at."""
    if found["state"] == "equal":
        return f"equal: all was compared ({found['compared']})"
    if found["state"] == "unknown":
        return f"unknown: no difference was found in what could be compared ({found['compared']})"
    return f"different; compared: {found['compared']}"


def sentence(found: dict[str, Any]) -> str:
    """The same with a capital."""
    text = first_line(found)
    return text[0].upper() + text[1:]


def lines(name: str, found: dict[str, Any], *, ids: bool, values: bool = True) -> Iterator[str]:
    """What differs in a section, a line each. With `ids`, records are named: they may be somebody's.

    Without `values`, parameters and metrics that differ are left out: a table has them.
    """
    if name == "flipped records":
        yield from _flips(found, ids=ids)
    elif name == "data":
        yield from _data(found, ids=ids)
    elif name == "metrics":
        yield from _values(found["measured"] if values else {})
        yield from _paired(found["paired"])
    elif name == "parameters":
        yield from _values(found["changed"] if values else {})
    else:
        yield from LINES[name](found)
    for what in found["unknown"]:
        yield f"unknown: {what}"


def number(value: Any) -> str:
    """A value for people: a number with as many digits as say something."""
    if value is None:
        return "(none)"
    if isinstance(value, float):
        return f"{value:.4g}"
    return str(value)


def change(pair: list[Any]) -> str:
    """`0.5 -> 0.6 (+0.1)`."""
    was, now = pair
    are_numbers = all(isinstance(each, int | float) and not isinstance(each, bool) for each in pair)
    by = f" ({now - was:+.4g})" if are_numbers else ""
    shown = [number(each) for each in pair]
    if shown[0] == shown[1]:  # the digits that people need do not tell them apart
        shown = [repr(each) for each in pair]
    return f"{shown[0]} -> {shown[1]}{by}"


def score(found: dict[str, Any]) -> str:
    """Both scores, the difference with its interval, and whether that says anything."""
    a, b, by = found["a"], found["b"], found["difference"]
    if found["too_small"]:
        said = f"too small to say: fewer than {LEAST_GROUPS} subjects"
    elif by["low"] is None:
        said = "nothing says how much it varies"
    else:
        said = f"95% [{by['low']:+.3f}, {by['high']:+.3f}]{'' if found['sure'] else ': may be chance'}"
    size = f"{counted(found['records'], 'record')} of {counted(found['subjects'], 'subject')}"
    return f"{a:.3f} -> {b:.3f} ({by['value']:+.3f}, {said}; {size})"


def _code(found: dict[str, Any]) -> Iterator[str]:
    commits, uncommitted = found["commits"], found["uncommitted"]
    for side in ("a", "b"):
        listed, more = commits[f"only_{side}"], commits[f"more_{side}"]
        if listed:
            yield f"{counted(len(listed) + more, 'commit')} only in {side.upper()}:"
            yield from (f"  {each['id'][:12]}  {each['subject']}" for each in listed[:FILES])
            if len(listed) + more > FILES:
                yield f"  and {len(listed) + more - FILES} more"
    for file in found["files"][:FILES]:
        yield f"{file['change']}: {file['path']}  ({', '.join(file['stages']) or 'the pipeline'})"
    if len(found["files"]) > FILES:
        yield f"and {len(found['files']) - FILES} more files"
    framework = found["framework"]
    if framework["version"] or framework["files"]:
        version = f"version {change(framework['version'])}, " if framework["version"] else ""
        yield f"framework: {version}{counted(framework['files'], 'file')} of lineage/"
    if uncommitted["files"]:
        yield f"uncommitted in the workspace: {some(uncommitted['files'], FILES)}"
    for each in uncommitted["outdated"]:
        yield f"the workspace has not run with what lies in it (`dvc repro`): {each}"
    for side, files in uncommitted["trained_with"].items():
        yield f"{side.upper()} was trained with uncommitted changes in {some(files, FILES)}"


def _values(changed: dict[str, list[Any]]) -> Iterator[str]:
    yield from (f"{key}: {change(pair)}" for key, pair in changed.items())


def _environment(found: dict[str, Any]) -> Iterator[str]:
    for kind, packages in found["packages"].items():
        for name, version in packages.items():
            yield f"package {kind}: {name} {change(version) if isinstance(version, list) else version}"
    yield from (f"{key}: {change(pair)}" for key, pair in found["machine"].items())


def _data(found: dict[str, Any], *, ids: bool) -> Iterator[str]:
    for what, (was, now) in found["hashes"].items():
        if was != now:
            yield f"{'dataset version' if what == 'dataset' else 'raw data'}: {was} -> {now}"
    for kind, counts in found.get("kinds", {}).items():
        records, subjects = counted(counts["records"], "record"), counted(counts["subjects"], "subject")
        yield f"{records} {KINDS[kind]}, of {subjects}"
        for name, values in counts["by"].items():
            yield f"  by {'class' if name == 'label' else name}: {_groups(values)}"
        if ids:
            yield f"  subjects with the most: {_groups(counts['most'])}"
            more = counts["records"] - min(5, len(counts["ids"]))
            yield f"  {', '.join(counts['ids'][:5])}{f' and {more:,} more' if more else ''}"
        yield from _causes(kind, found["causes"])
    columns = found.get("columns") or {}
    if "kinds" in found and not found["kinds"] and not any(columns.values()):
        rest = " of those that could be compared" if found["unknown"] else ", only how they are described, or cut"
        yield f"no record differs{rest}"
    yield from (
        f"column {name}: {counted(count, 'record')} changed" for name, count in columns.get("changed", {}).items()
    )
    yield from (f"column {kind}: {name}" for kind in ("added", "removed") for name in columns.get(kind, []))


def _causes(kind: str, causes: dict[str, Any]) -> Iterator[str]:
    for cause, counts in causes.get(kind, {}).items():
        size = f"{counted(counts['records'], 'record')} of {counted(counts['subjects'], 'subject')}"
        if cause != "unknown":
            yield f"  cause: {cause} ({size})"
            continue
        other = f"; what else differs: {'; '.join(causes['other'])}" if causes["other"] else ""
        yield f"  cause unknown, neither consent nor erasure shows it ({size}){other}"


def _model(found: dict[str, Any]) -> Iterator[str]:
    if found["identical"] is not None:
        yield "weights: identical" if found["identical"] else f"weights: {change(found['weights'])}"
    if found["identity"][0] != found["identity"][1]:
        yield f"identity: {' -> '.join((each or '(none)')[:12] for each in found['identity'])}"
    if found["size"][0] != found["size"][1]:
        yield f"size: {change(found['size'])} bytes"
    if found["parameters"][0] != found["parameters"][1]:
        yield f"numbers in it: {change(found['parameters'])}"
    for kind, tensors in (found["tensors"] or {}).items():
        if tensors:
            yield f"tensors {kind}: {some([f'{name} {shape}' for name, shape in tensors.items()], 5)}"
    if found["started_from"][0] != found["started_from"][1]:
        yield f"started from: {change(found['started_from'])}"
    elif found["started_from"][0] is not None:
        yield f"both started from {found['started_from'][0]}"


def _paired(paired: dict[str, Any] | None) -> Iterator[str]:
    if paired is None or paired["overall"] is None:
        return
    rest = f", beside {paired['only_a']:,} only in A and {paired['only_b']:,} only in B"
    yield f"on the same records{rest if paired['only_a'] or paired['only_b'] else ''}:"
    for kind, left in paired["left_out"].items():
        yield f"  left out: {counted(left['records'], 'record')} {KINDS[kind]}"
    if not paired["flips"]:
        yield f"  both are right and wrong alike on each of {counted(paired['records'], 'record')}"
        return
    yield f"  accuracy: {score(paired['overall'])}"
    for title, scores in _groups_of_scores(paired):
        differing = {value: each for value, each in scores.items() if "difference" in each and _moved(each)}
        yield from (f"  {title} {value}: {score(each)}" for value, each in differing.items())
        same = sum("difference" in each for each in scores.values()) - len(differing)
        if same:
            yield f"  {title}: {same} of {same + len(differing)} with the same accuracy"


def _groups_of_scores(paired: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    yield "class", paired["classes"]
    yield from paired["slices"].items()


def _moved(found: dict[str, Any]) -> bool:
    return bool(found["difference"]["value"])


def _flips(found: dict[str, Any], *, ids: bool) -> Iterator[str]:
    for kind, flipped in found.get("kinds", {}).items():
        if not flipped["records"]:
            continue
        yield f"{counted(flipped['records'], 'record')} {FLIPS[kind]}, of {counted(flipped['subjects'], 'subject')}"
        if not ids:
            continue
        for each in flipped["list"][:5]:
            said = f"{each['a']} ({each['probability_a']:.2f}) -> {each['b']} ({each['probability_b']:.2f})"
            yield f"  {each['record_id']} of {each['subject_id']}, a {each['label']}: {said}"
        if flipped["records"] > 5:
            yield f"  and {flipped['records'] - 5:,} more"


def _groups(values: dict[str, int]) -> str:
    most = sorted(values.items(), key=lambda item: (-item[1], item[0]))
    shown = ", ".join(f"{name} {count:,}" for name, count in most[:GROUPS])
    return shown + (f" and {len(most) - GROUPS:,} more" if len(most) > GROUPS else "")


LINES = {
    "code": _code,
    "environment": _environment,
    "model": _model,
}
