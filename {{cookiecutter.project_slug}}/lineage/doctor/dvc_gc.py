"""Whether something in this project runs `dvc gc`, which deletes what earlier versions need."""

from __future__ import annotations

import re
from pathlib import Path

from ..base.finding import Finding
from ..base.printable import some
from ..git.repository import Repository

CHECK = "dvc gc"
# in a shell, or as a list of arguments
RUNS = r"""(^|[^[:alnum:]_.-])dvc(\.exe)?([[:space:]]+|["'], *["'])gc($|[^[:alnum:]_-])"""
COMMENT = re.compile(r"\s*(#|//)")
NOT_RUN = (":(exclude)*.md", ":(exclude)lineage/**", ":(exclude)docs/**")  # prose, and this framework's own


def check_dvc_gc(root: Path) -> Finding:
    """`dvc gc` keeps what the commits need that it is given, and knows of no registered version."""
    found = Repository(root).lines("grep", "-n", "-z", "-I", "-E", "-e", RUNS, "--", ".", *NOT_RUN)
    places = []
    for line in found:
        path, number, text = line.split("\0", 2)
        if not COMMENT.match(text):
            places.append(f"{path}:{number}")
    if not places:
        text = "nothing that Git tracks here runs it; `lineage gc` deletes what no version needs"
        return Finding(CHECK, "right", text)
    text = (
        f"{some(places)} runs `dvc gc`: it deletes what registered versions need, unless every commit is named to it, "
        "and they can no longer be restored or proved."
    )
    return Finding(CHECK, "wrong", text, "lineage gc --plan")
