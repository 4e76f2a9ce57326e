"""The pages of the site in one folder: docs/ of this repository, and as how-tos those of a new project."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

from .baked import TEMPLATE, baked

MANUAL = TEMPLATE / "build" / "manual"
DOCS = TEMPLATE / "docs"
CONFIG = "zensical.toml"
INDEX = """# How to

One page for each subject. Every new project has the same pages in its `docs/`, with its own names.

"""


def write_pages() -> Path:
    """Writes pages/ and zensical.toml, and returns the path of the second."""
    pages = MANUAL / "pages"
    shutil.rmtree(MANUAL, ignore_errors=True)
    shutil.copytree(DOCS, pages, ignore=shutil.ignore_patterns(CONFIG))
    with baked() as root:
        shutil.copytree(root / "docs", pages / "how-to")
        table = table_of(root / "README.md")
    (pages / "how-to" / "index.md").write_text(INDEX + table, encoding="utf-8")
    named = dict.fromkeys(["index", *re.findall(r"\]\(([a-z-]+)\.md", table)])
    left = sorted({path.stem for path in (pages / "how-to").glob("*.md")} - named.keys())
    shown = "".join(f'\n    "how-to/{name}.md",' for name in [*named, *left])
    text = (DOCS / CONFIG).read_text(encoding="utf-8").replace('"HOW_TO"', f"[{shown}\n  ]")
    (MANUAL / CONFIG).write_text(text, encoding="utf-8")
    return MANUAL / CONFIG


def table_of(readme: Path) -> str:
    """The table `I want to` of the project's README, with links from a page beside the others."""
    lines = readme.read_text(encoding="utf-8").splitlines()
    first = next(place for place, line in enumerate(lines) if line.startswith("| I want to |"))
    last = next(place for place, line in enumerate(lines) if place > first and not line.startswith("|"))
    return "\n".join(line.replace("](docs/", "](") for line in lines[first:last]) + "\n"
