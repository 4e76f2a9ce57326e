"""A fork in place of a new Python (forks.py) finds what the new one would: other tests rest on that."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from baked import Project
from command import Lineage

STAGE = """
import json, os, signal, subprocess, sys
import traceable_digits.own

facts = {
    "argv": sys.argv, "name": __name__, "file": __file__, "path": sys.path, "folder": os.getcwd(),
    "environment": {name: value for name, value in os.environ.items() if name not in ("PWD", "SHLVL", "OLDPWD", "_")},
    "package": traceable_digits.own.__file__, "session": os.getsid(0) == os.getpid(),
    "signals": [str(signal.getsignal(number)) for number in (signal.SIGINT, signal.SIGTERM)],
    "streams": [[stream.encoding, stream.errors, stream.fileno()] for stream in (sys.stdin, sys.stdout, sys.stderr)],
}
print("FACTS", json.dumps(facts))
print("PARENT", os.getppid())
started = subprocess.run([sys.executable, "-I", "-c", CODE, "x"], input="in", capture_output=True, text=True)
print("STARTED", json.dumps([started.returncode, started.stdout, started.stderr]))
sys.exit("the last words")
"""
# what a stage starts itself, with input and both outputs of its own
CODE = "import sys; print(sys.argv, sys.stdin.read(), __name__); print('error', file=sys.stderr); sys.exit(7)"
PIPELINE = "stages:\n  own:\n    cmd: python -I scripts/stage.py traceable_digits.own\n"


def run(project: Project, lineage: Lineage, *, forks: str) -> tuple[str, dict[str, Any], list[Any]]:
    """The parent of a stage that dvc runs, what it finds, and what became of what it started."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Project, "forks", forks)
        status, output, _ = lineage.fork(project, ("dvc", "repro", "--force"), together=True)
    assert status == 255
    assert "the last words\n" in output
    assert "exited with 1" in output
    said = dict(line.split(" ", 1) for line in output.splitlines() if line.startswith(("FACTS", "PARENT", "STARTED")))
    return said["PARENT"], json.loads(said["FACTS"]), json.loads(said["STARTED"])


def test_a_stage_finds_what_it_would_find_in_a_new_process(
    installed: Project, lineage: Lineage, tmp_path: Path
) -> None:
    project = Project(tmp_path, installed.venv, installed.environment)
    for folder in ("scripts", "traceable_digits"):
        (tmp_path / folder).mkdir()
    (tmp_path / "dvc.yaml").write_text(PIPELINE)
    (tmp_path / "traceable_digits" / "own.py").write_text("")
    path = f"import sys\nCODE = {CODE!r}\nsys.path.insert(0, {str(tmp_path)!r})\n"
    (tmp_path / "scripts" / "stage.py").write_text(path + STAGE)
    project.dvc("init", "--quiet", "--no-scm")
    parent, facts, started = run(project, lineage, forks="all")
    other, expected, begun = run(project, lineage, forks="none")
    assert facts == expected
    assert facts["package"] == str(tmp_path / "traceable_digits" / "own.py")
    assert started == begun == [7, "['-c', 'x'] in __main__\n", "error\n"]
    assert parent != other  # each is the child of its own dvc
