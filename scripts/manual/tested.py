"""The page that says which command blocks of the manual are run by a test, and which are not."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

from .baked import TEMPLATE
from .blocks import TUTORIALS, Block, blocks
from .table import table
from .typed import reason

HEAD = """# Which commands were run

Every block of commands on every page, counted. *Run* means that a test types it.

- **Tutorials**: `tests/test_tutorials.py` types each in a new project, and fails if it ends otherwise than the page
  says, or if a line that the page shows does not come out; hashes, dates and scores are not compared.
- **How-tos and READMEs**: `tests/test_howtos.py` types them in copies of one project with two models, and fails if a
  command ends otherwise than it should. What comes out is not compared with the page. What a page takes for granted,
  such as an experiment or photographs, was made before.

Five things are otherwise than for a reader: the environment was installed before, the network is a smaller one without
PyTorch, Git's hooks are taken out, what is the reader's own, such as a server's address or an id, has a value, and
questions are answered. AWS is a server on this machine that stands in for it and really runs jobs. The tutorials about
a team and about SageMaker, the how-tos and the READMEs are run once a week, the other tutorials at each change.

*Not run* means that nobody types the block as it stands. Of its lines that begin with `lineage` or `make`,
`tests/test_typed_commands.py` asks whether there is such a command, with such options; what comes out, other tests see
in their own ways.
"""
READMES = {"README of the template": "README.md", "README of a project": "{{cookiecutter.project_slug}}/README.md"}


def page(root: Path) -> str:
    shown = [(path.relative_to(TEMPLATE / "docs"), path) for path in sorted((TEMPLATE / "docs").rglob("*.md"))]
    shown = [(name, path) for name, path in shown if name.parts[0] != "reference"]
    shown += [(Path("how-to", path.name), path) for path in sorted((root / "docs").glob("*.md"))]
    pages = [(f"[{name.stem}](../{name.as_posix()})", name, path) for name, path in shown]
    pages += [(title, Path(path), TEMPLATE / path) for title, path in READMES.items()]
    rows, total = [], Counter[str]()
    for title, name, path in pages:
        found = [block for block in blocks(path) if block.is_commands]
        counted = Counter(state(block, name) for block in found)
        total += counted
        if found:
            reasons = "; ".join(f"{why} ({number})" for why, number in counted.items() if why != "run")
            rows.append((title, str(len(found)), str(counted["run"]), reasons))
    whole = ("**all**", str(total.total()), str(total["run"]), str(total.total() - total["run"]))
    return f"{HEAD}\n{table(('page', 'blocks', 'run', 'not run'), [*rows, whole])}\n"


def state(block: Block, page: Path) -> str:
    """`run`, or why it is not."""
    if said := block.notes.get("not run"):
        return said
    if page.parent.name == "tutorials":
        return "run" if page.stem in sum(TUTORIALS, ()) else "not yet"
    return reason(page.stem, block) or "run"
