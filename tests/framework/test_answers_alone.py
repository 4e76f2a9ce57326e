"""With `--json`, standard output is one JSON document, whoever else prints."""

from __future__ import annotations

import ast
import json
import subprocess
import sys
from pathlib import Path

import lineage

INSIDE = Path(lineage.__file__).parent
# what a command does that prints before, between and after: itself, a library, a program that it starts
NOISY = """
import json, subprocess, sys
from lineage.base.terminal import guard_output, print_answer

guard_output(answers_alone=True)
print("by this program")
sys.stdout.write("View run at http://127.0.0.1\\n")
subprocess.run([sys.executable, "-c", "print('by another program')"], check=True)
print_answer(json.dumps({"who": "Zoë \\u202e"}, ensure_ascii=False))
print("afterwards")
"""


def test_whoever_else_prints_is_heard_on_standard_error() -> None:
    command = [sys.executable, "-B", "-c", NOISY]  # nothing compiled is left in the template
    done = subprocess.run(command, cwd=INSIDE.parent, capture_output=True, text=True, check=True)
    assert json.loads(done.stdout) == {"who": "Zoë \u202e"}
    for said in ("by this program", "View run", "by another program", "afterwards"):
        assert said in done.stderr


def test_every_command_that_has_json_prints_it_so() -> None:
    """A call of `print` with the text of `json.dumps` goes past what is kept for it."""
    wrong, seen = [], 0
    for path in INSIDE.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
                seen += node.func.id == "print_answer"
                if node.func.id == "print" and "json.dumps" in ast.unparse(node):
                    wrong.append(f"{path.name}:{node.lineno}")
    assert wrong == []
    assert seen > 20
