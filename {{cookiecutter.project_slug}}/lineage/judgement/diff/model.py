"""Model: the weights, their shapes and size, and what each training started from."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

from ...base.errors import LineageError
from ...contract import Role
from ...dvc.dvcfile import kept_outs
from .section import section
from .sides import Side

RANDOM = "random weights"
ENDING = ".safetensors"


def model(a: Side, b: Side) -> dict[str, Any]:
    """Identity, weights and architecture."""
    unknown: list[str] = []
    sides = [_described(side, unknown) for side in (a, b)]
    differs = any(sides[0][key] != sides[1][key] for key in ("identity", "weights", "size", "started_from"))
    tensors = _tensors(*(each["tensors"] for each in sides))
    return section(
        compared="identity, weights, shapes, start",
        unknown=unknown,
        differs=differs,
        identity=_pair(sides, "identity"),
        weights=_pair(sides, "weights"),
        identical=None if None in _pair(sides, "weights") else sides[0]["weights"] == sides[1]["weights"],
        size=_pair(sides, "size"),
        parameters=[each["tensors"] and sum(_count(shape) for shape in each["tensors"].values()) for each in sides],
        tensors=tensors,
        started_from=_pair(sides, "started_from"),
    )


def _pair(sides: list[dict[str, Any]], key: str) -> list[Any]:
    return [each[key] for each in sides]


def _described(side: Side, unknown: list[str]) -> dict[str, Any]:
    recorded = side.recorded
    md5, path = recorded.made(Role.MODEL), recorded.pipeline.path(Role.MODEL)
    if md5 is None:
        unknown.append(f"{side.title}: dvc.lock records no model.")
    maker = recorded.training
    sizes = [out.get("size") for out in kept_outs(maker, recorded.lock) if out["path"] == path] if maker else []
    return {
        "identity": recorded.identity,
        "weights": md5,
        "size": sizes[0] if sizes else None,
        "tensors": _shapes(side, md5, str(path), unknown) if md5 else None,
        "started_from": _start(side, unknown),
    }


def _start(side: Side, unknown: list[str]) -> str | None:
    """Where the weights came from before the first step, in words; None if that is unknown."""
    md5 = side.recorded.read(Role.PRETRAINED)
    url = side.parameters.get("weights.url")
    if md5 is not None:
        sha256 = (side.document.get("pretrained") or {}).get("sha256")
        return f"{url or 'weights'} ({f'SHA-256 {sha256}' if sha256 else md5})"
    if not side.recorded.lock:
        return None
    if url:
        unknown.append(f"{side.title}: weights.url is {url}, and the training read no weights.")
        return None
    return RANDOM


def _shapes(side: Side, md5: str, path: str, unknown: list[str]) -> dict[str, list[int]] | None:
    """Shape by name of the tensors; None if they are unknown."""
    if not path.endswith(ENDING):
        unknown.append(f"{side.title}: shapes of {path}: only those of a {ENDING} file can be read.")
        return None
    from safetensors import SafetensorError, safe_open

    try:
        with tempfile.TemporaryDirectory() as scratch:
            file = side.evidence.objects.verified(md5, Path(scratch))
            with safe_open(str(file), framework="np") as opened:
                return {name: list(opened.get_slice(name).get_shape()) for name in sorted(opened.keys())}
    except (LineageError, SafetensorError, OSError) as error:
        unknown.append(f"{side.title}: shapes of the weights: {error}")
        return None


def _count(shape: list[int]) -> int:
    count = 1
    for length in shape:
        count *= length
    return count


def _tensors(before: dict[str, list[int]] | None, after: dict[str, list[int]] | None) -> dict[str, Any] | None:
    """What differs in names and shapes; None if one of them is unknown."""
    if before is None or after is None:
        return None
    both = before.keys() & after.keys()
    return {
        "added": {name: after[name] for name in after if name not in both},
        "removed": {name: before[name] for name in before if name not in both},
        "reshaped": {name: [before[name], after[name]] for name in sorted(both) if before[name] != after[name]},
    }
