"""The pages of docs/reference/ and the badges of the README, made from the code.

They are kept in Git: a review sees what changes for users.
"""

from __future__ import annotations

from pathlib import Path

from .baked import TEMPLATE, baked

FOLDER = TEMPLATE / "docs" / "reference"
MADE = "<!-- Made by `make reference` from the code. Edit that, not this page. -->\n\n"


def pages() -> dict[str, str]:
    """The text of each page by its name."""
    from . import badges, commands, names, settings, tested

    with baked() as root:
        made = {"commands.md": commands.page(), "settings.md": settings.page(root), "mlflow.md": names.page(root)}
        made["tested.md"] = tested.page(root)
    made |= badges.pages()
    return {name: MADE + text.rstrip() + "\n" for name, text in made.items()}


def write(folder: Path = FOLDER) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for name, text in pages().items():
        (folder / name).write_text(text, encoding="utf-8")
        print(f"written: {folder.name}/{name}")
