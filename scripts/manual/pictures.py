"""The pictures of the manual: what terminal and pages show of a project, light and dark.

They are taken from a project that has run (`make demo` makes one), never drawn by hand. Needs Chromium for the pages.
"""

from __future__ import annotations

import contextlib
import io
import os
import pty
import subprocess
import sys
import tempfile
from pathlib import Path

from rich.console import Console
from rich.terminal_theme import DEFAULT_TERMINAL_THEME, SVG_EXPORT_THEME, TerminalTheme
from rich.text import Text

from .baked import TEMPLATE

FOLDER = TEMPLATE / "docs" / "pictures"
THEMES: dict[str, TerminalTheme] = {"light": DEFAULT_TERMINAL_THEME, "dark": SVG_EXPORT_THEME}
MODEL = "models:/traceable-digits@candidate"
WIDTH = 118  # characters
WINDOW = {"width": 1100, "height": 760}
# rich's own, without the fonts that it would load from another host
FORMAT = """<svg class="rich-terminal" viewBox="0 0 {width} {height}" xmlns="http://www.w3.org/2000/svg">
<style>
.{unique_id}-matrix {{ font-family: monospace; font-size: {char_height}px; line-height: {line_height}px; }}
.{unique_id}-title {{ font-size: 18px; font-weight: bold; font-family: sans-serif; }}
{styles}
</style>
<defs><clipPath id="{unique_id}-clip-terminal">
<rect x="0" y="0" width="{terminal_width}" height="{terminal_height}" /></clipPath>{lines}</defs>
{chrome}
<g transform="translate({terminal_x}, {terminal_y})" clip-path="url(#{unique_id}-clip-terminal)">
{backgrounds}
<g class="{unique_id}-matrix">
{matrix}
</g></g></svg>
"""


def take(project: Path) -> None:
    """Writes all pictures. `project` is the root of a project that has run, been committed and pushed."""
    FOLDER.mkdir(exist_ok=True)
    terminal("verify", f"lineage verify {MODEL}", output(project, "verify", MODEL))
    with tempfile.TemporaryDirectory() as folder:
        page = Path(folder, "chain.html")
        output(project, "trace", MODEL, "--html", str(page), "--verify")
        pages({"chain": page})


def output(project: Path, *command: str) -> str:
    """What `lineage` prints to a terminal, with colours; the folder of the project is `~`."""
    lineage = project / ".venv" / "bin" / "lineage"
    path = os.pathsep.join([str(lineage.parent), os.environ["PATH"]])
    environment = {**os.environ, "TERM": "xterm-256color", "COLUMNS": str(WIDTH), "PATH": path}
    reader, writer = pty.openpty()
    process = subprocess.Popen([lineage, *command], cwd=project, env=environment, stdout=writer, stderr=writer)
    os.close(writer)
    said = b""
    with contextlib.suppress(OSError):  # the terminal is gone when the command ends
        while part := os.read(reader, 65536):
            said += part
    os.close(reader)
    text = said.decode().replace("\r\n", "\n")
    if process.wait():
        sys.exit(f"lineage {' '.join(command)}: {process.returncode}\n{text}")
    return text.replace(str(project.resolve().parent), "~")


def terminal(name: str, title: str, said: str) -> None:
    for scheme, theme in THEMES.items():
        console = Console(record=True, width=WIDTH, file=io.StringIO(), force_terminal=True)
        console.print(Text.from_ansi(said.rstrip()))
        drawn = console.export_svg(title=title, theme=theme, code_format=FORMAT, unique_id=name)
        text = "\n".join(line.rstrip() for line in drawn.splitlines()) + "\n"
        (FOLDER / f"{name}-{scheme}.svg").write_text(text, encoding="utf-8")


def pages(shown: dict[str, Path]) -> None:
    sys.path.insert(0, str(TEMPLATE / "tests"))
    from browser import browser

    with browser() as running:
        for scheme in THEMES:
            context = running.new_context(viewport=WINDOW, color_scheme=scheme, offline=True)
            for name, path in shown.items():
                page = context.new_page()
                page.goto(path.as_uri())
                page.screenshot(path=FOLDER / f"{name}-{scheme}.png")
            context.close()
