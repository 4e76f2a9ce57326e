"""The plots of dvc.yaml as pictures, of both sides where they differ."""

from __future__ import annotations

from dataclasses import dataclass, field

from ...base.errors import ProjectError
from ...base.markdown import plain
from ...dvc.dvcfile import DVC_YAML, locked_hash
from ...run.pictures import Drawn, pictures_of
from ..diff.sides import Side
from .few import Few
from .withheld import Searched, left_out


@dataclass
class Plots:
    """The lines of Markdown, and the text of the SVG files by name."""

    lines: list[str] = field(default_factory=list)
    files: dict[str, str] = field(default_factory=dict)


def plots(a: Side, b: Side, address: str, searched: Searched, few: Few) -> Plots:
    """Those of B, and beside them those of A that differ. `address` stands before the name of each file.

    Without those that bear an id, and without what is of few subjects.
    """
    found, lost = Plots(), list[str]()
    before, now = _drawn(a, [], few), _drawn(b, lost, few)
    drawn_of = [(side, name) for side in (before, now) for name in side]
    bearing = searched.bearing([[name, *side[name].words] for side, name in drawn_of])
    for side, name in [drawn_of[place] for place in bearing]:
        del side[name]
    for name, drawn in now.items():
        shown = {f"b-{name}": drawn.svg}
        if name in before and before[name].svg != drawn.svg:
            shown = {f"a-{name}": before[name].svg, **shown}
        found.files |= shown
        cells = [f"![{plain(file)}]({address.rstrip('/')}/{file})" for file in shown]
        heads = [plain(side.title) for side in ((a, b) if len(shown) == 2 else (b,))]
        found.lines += [f"| {' | '.join(heads)} |", f"|{' --- |' * len(heads)}", f"| {' | '.join(cells)} |", ""]
    found.lines += [f"- unknown: {plain(each)}" for each in lost]
    if bearing:
        found.lines += [f"- {left_out(len(bearing), 'picture')}"]
    if not found.lines:
        found.lines = ["No plot of dvc.yaml can be drawn."]
    return found


def _drawn(side: Side, lost: list[str], few: Few) -> dict[str, Drawn]:
    """The pictures of a side. Why a table cannot be read is added to `lost`."""
    found: dict[str, Drawn] = {}
    text = (side.read(DVC_YAML) or b"").decode()
    for stage in side.pipeline.stages.values() if text else ():
        entry = side.recorded.lock.get(stage.name)

        def read(path: str, entry: dict[str, object] | None = entry) -> str | None:
            md5 = locked_hash(entry, "outs", path)
            try:
                return side.evidence.objects.read(md5).decode() if md5 else None
            except ProjectError as error:
                lost.append(f"{path} of {side.title}: {error.without_ids or type(error).__name__}")
            except UnicodeDecodeError:
                lost.append(f"{path} of {side.title} is no text")
            return None

        for name, drawn in pictures_of(text, stage, read, lambda row: not few.is_in(row)).items():
            found[name if name not in found else f"{stage.module}-{name}"] = drawn
    return found
