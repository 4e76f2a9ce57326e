"""Writes the page that `dvc plots show` fills in a project: Vega and what it needs are in it, nothing is fetched.

npm pack vega@5 vega-lite@5 vega-embed@6       # in an empty folder; unpack each into a folder of its name
python3 scripts/plots_page.py FOLDER
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

PAGE = Path(__file__).resolve().parents[1] / "{{cookiecutter.project_slug}}" / ".dvc" / "plots.html"
LIBRARIES = ("vega", "vega-lite", "vega-embed")

# DVC replaces the names in braces. Its {scripts}, which would ask a CDN for the same libraries, is left out on purpose.
HEAD = """<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; script-src 'unsafe-inline' 'unsafe-eval'; \
style-src 'unsafe-inline'; img-src 'self' file: data: blob:">
{refresh_tag}
<title>DVC Plot</title>
<style>
  body { font: 15px/1.5 system-ui, sans-serif; margin: 2rem auto; padding: 0 1rem; max-width: 80rem; background: #fff; }
  body > div { overflow-x: auto; margin: 0 0 2rem; }
  table { border-spacing: 15px; }
</style>
"""
# without the button that would send the data of a plot to an editor in the web
REST = """<script>
  const embed = vegaEmbed;
  window.vegaEmbed = (place, spec) => embed(place, spec, { actions: { export: true, source: true, editor: false } });
</script>
</head>
<body>
{plot_divs}
</body>
</html>
"""


def script(folder: Path) -> str:
    """One library with its licence."""
    described = json.loads((folder / "package.json").read_text(encoding="utf-8"))
    licence = (folder / "LICENSE").read_text(encoding="utf-8").strip()
    name = described["name"]
    source = (folder / "build" / f"{name}.min.js").read_text(encoding="utf-8")
    code = source.partition("//# sourceMappingURL=")[0].strip()
    if "</script" in code.lower() or any(f"{{{part}}}" in code for part in ("plot_divs", "scripts", "refresh_tag")):
        raise SystemExit(f"{name} cannot stand in a page as it is")
    return f"<script>\n/* {name} {described['version']}, {described['license']}\n\n{licence}\n*/\n{code}\n</script>\n"


def main(folder: Path) -> None:
    found = [next(folder.glob(f"{name}-[0-9]*/package")) for name in LIBRARIES]
    page = HEAD + "".join(script(package) for package in found) + REST
    PAGE.write_text(page, encoding="utf-8", newline="\n")
    print(f"{PAGE}: {len(page.encode()) // 1000} kB")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
