"""The badges of the README: pictures of what files of the repository say. A test finds one that is not true."""

from __future__ import annotations

import re
import tomllib
from html import escape

from .baked import TEMPLATE

WIDTH, EDGE = 6.6, 10  # pixels of a letter, and at each side of a word
SVG = """<svg xmlns="http://www.w3.org/2000/svg" width="{whole:.0f}" height="20" role="img">
<title>{name}: {value}</title>
<rect width="{whole:.0f}" height="20" rx="3" fill="#0b5cad"/>
<path d="M3 0H{left:.0f}V20H3A3 3 0 0 1 0 17V3A3 3 0 0 1 3 0" fill="#444c56"/>
<g fill="#fff" font-family="Verdana,DejaVu Sans,sans-serif" font-size="11" text-anchor="middle">
<text x="{first:.0f}" y="14">{name}</text>
<text x="{second:.0f}" y="14">{value}</text>
</g>
</svg>
"""


def pages() -> dict[str, str]:
    """The text of each picture by its name."""
    return {f"{name}.svg": _picture(name, value) for name, value in _facts().items()}


def _facts() -> dict[str, str]:
    licence = (TEMPLATE / "LICENSE").read_text(encoding="utf-8").partition("\n")[0].removesuffix(" License")
    text = (TEMPLATE / "{{cookiecutter.project_slug}}" / "pyproject.toml").read_text(encoding="utf-8")
    project = tomllib.loads(text)  # it is TOML before it is rendered, too
    first, end = map(int, re.findall(r"3\.(\d+)", project["project"]["requires-python"]))  # >=3.first,<3.end
    versions = " | ".join(f"3.{minor}" for minor in range(first, end))
    facts = {"license": licence, "python": versions}
    return {**facts, "types": "mypy, strict"} if project["tool"]["mypy"]["strict"] else facts


def _picture(name: str, value: str) -> str:
    left, right = (len(text) * WIDTH + 2 * EDGE for text in (name, value))
    places = {"whole": left + right, "left": left, "first": left / 2, "second": left + right / 2}
    return SVG.format(name=escape(name), value=escape(value), **places)
