"""The plots of dvc.yaml as pictures, of both sides where they differ."""

from __future__ import annotations

from dataclasses import dataclass, field

from ...base.errors import ProjectError
from ...base.markdown import plain
from ...dvc.dvcfile import DVC_YAML, locked_hash
from ...run.pictures import pictures_of
from ..diff.sides import Side


@dataclass
class Plots:
    """The lines of Markdown, and the text of the SVG files by name."""

    lines: list[str] = field(default_factory=list)
    files: dict[str, str] = field(default_factory=dict)


def plots(a: Side, b: Side, address: str) -> Plots:
    """Those of B, and beside them those of A that differ. `address` stands before the name of each file."""
    found, lost = Plots(), list[str]()
    before, now = _drawn(a, []), _drawn(b, lost)
    for name, drawn in now.items():
        shown = {f"b-{name}": drawn}
        if name in before and before[name] != drawn:
            shown = {f"a-{name}": before[name], **shown}
        found.files |= shown
        cells = [f"![{plain(file)}]({address.rstrip('/')}/{file})" for file in shown]
        heads = [plain(side.title) for side in ((a, b) if len(shown) == 2 else (b,))]
        found.lines += [f"| {' | '.join(heads)} |", f"|{' --- |' * len(heads)}", f"| {' | '.join(cells)} |", ""]
    found.lines += [f"- unknown: {plain(each)}" for each in lost]
    if not found.lines:
        found.lines = ["No plot of dvc.yaml can be drawn."]
    return found


def _drawn(side: Side, lost: list[str]) -> dict[str, str]:
    """The pictures of a side. Why a table cannot be read is added to `lost`."""
    found: dict[str, str] = {}
    text = (side.read(DVC_YAML) or b"").decode()
    for stage in side.pipeline.stages.values() if text else ():
        entry = side.recorded.lock.get(stage.name)

        def read(path: str, entry: dict[str, object] | None = entry) -> str | None:
            md5 = locked_hash(entry, "outs", path)
            try:
                return side.evidence.objects.read(md5).decode() if md5 else None
            except (ProjectError, UnicodeDecodeError) as error:
                lost.append(f"{path} of {side.title}: {error}")
                return None

        for name, drawn in pictures_of(text, stage, read).items():
            found[name if name not in found else f"{stage.module}-{name}"] = drawn
    return found
