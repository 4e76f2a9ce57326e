"""Refuses answers that could not work, before anything is written."""

import keyword
import re
import shutil
import sys

SLUG = "{{ cookiecutter.project_slug }}"
PACKAGE = "{{ cookiecutter.package_name }}"


def refusal():
    """Why the answers cannot work, in one sentence; None if they can."""
    if shutil.which("git") is None:
        return "Git is not installed, and the project is a Git repository: install Git and bake again."
    if not re.fullmatch(r"[A-Za-z][A-Za-z0-9._-]*", SLUG):
        return f"project_slug {SLUG!r} must begin with a letter and hold only letters, digits, '.', '_' and '-'."
    if not PACKAGE.isidentifier() or not PACKAGE.isascii() or keyword.iskeyword(PACKAGE):
        return f"package_name {PACKAGE!r} must be a Python identifier."
    return None


reason = refusal()
if reason:
    print(reason, file=sys.stderr)
    sys.exit(1)
