"""The page that says which command blocks of the manual are run by a test, and which are not."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

from .baked import TEMPLATE
from .blocks import TUTORIALS, Block, blocks
from .table import table

HEAD = """# Which commands were run

Every block of commands on every page, counted. *Run* means: `tests/test_tutorials.py` types it in a new project, and
fails if it ends otherwise than the page says, or if a line that the page shows does not come out; hashes, dates and
scores are not compared. Four things are otherwise than for a reader: the environment was installed before, the network
is a smaller one without PyTorch, Git's hooks are taken out, and what is the reader's own, such as a server's address,
has a value. AWS is a server on this machine that stands in for it and really runs jobs. The pages about a team and
about SageMaker are run once a week, the others at each change. *Not run* means that nobody types the block as it
stands. Of its lines that begin with `lineage`, `tests/test_typed_commands.py` asks the command line whether there is
such a command, with such options; what comes out, other tests see in their own ways.
"""


def page(root: Path) -> str:
    shown = [(path.relative_to(TEMPLATE / "docs"), path) for path in sorted((TEMPLATE / "docs").rglob("*.md"))]
    shown = [(name, path) for name, path in shown if name.parts[0] != "reference"]
    shown += [(Path("how-to", path.name), path) for path in sorted((root / "docs").glob("*.md"))]
    rows, total = [], Counter[str]()
    for name, path in shown:
        found = [block for block in blocks(path) if block.is_commands]
        counted = Counter(state(block, name) for block in found)
        total += counted
        if found:
            reasons = "; ".join(f"{reason} ({number})" for reason, number in counted.items() if reason != "run")
            rows.append((f"[{name.stem}](../{name.as_posix()})", str(len(found)), str(counted["run"]), reasons))
    whole = ("**all**", str(total.total()), str(total["run"]), str(total.total() - total["run"]))
    return f"{HEAD}\n{table(('page', 'blocks', 'run', 'not run'), [*rows, whole])}\n"


def state(block: Block, page: Path) -> str:
    """`run`, or why it is not."""
    if reason := block.notes.get("not run"):
        return reason
    return "run" if page.parent.name == "tutorials" and page.stem in sum(TUTORIALS, ()) else "not yet"
