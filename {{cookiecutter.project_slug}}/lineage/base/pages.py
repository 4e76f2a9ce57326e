"""Pages from Jinja templates that need nothing else: no script, no network."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .terminal import block

if TYPE_CHECKING:
    from jinja2 import Environment


def render(template: Path, filters: dict[str, Callable[..., Any]] | None = None, **values: Any) -> str:
    """The text of a Jinja template with its values put in, escaped."""
    return _render(template, filters, values, is_html=True)


def render_text(template: Path, filters: dict[str, Callable[..., Any]] | None = None, **values: Any) -> str:
    """The same for a text that is no HTML. Nothing is escaped: the template says what is done to each value."""
    return _render(template, filters, values, is_html=False)


def _render(
    template: Path, filters: dict[str, Callable[..., Any]] | None, values: dict[str, Any], *, is_html: bool
) -> str:
    environment = _environment(template, is_html)
    environment.filters.update(filters or {})
    return environment.get_template(template.name).render(**values)


@cache  # to compile a template costs more than to fill it in
def _environment(template: Path, is_html: bool) -> Environment:
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    return Environment(
        loader=FileSystemLoader(template.parent),
        autoescape=is_html,  # noqa: S701  Markdown is no HTML
        finalize=_shown,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )


def _shown(value: Any) -> Any:
    """Text as `block` shows it: marks of direction turn the lines of a browser round as well."""
    return block(value) if type(value) is str else value


def write_whole(path: Path, text: str) -> None:
    """Writes a file that is whole or not there."""
    partial = path.with_name(f".{path.name}.partial")
    partial.write_text(text, encoding="utf-8", newline="\n")
    partial.replace(path)
