"""Values as a page shows them: rounded for people, the exact one on hover and in print; Markdown without a network."""

from __future__ import annotations

import json
import re
from datetime import UTC, datetime
from typing import Any

from markupsafe import Markup, escape

from ..base.terminal import block

HASH = re.compile(r"[0-9a-f]{32}(\.dir)?|[0-9a-f]{64}")
TILES = 6  # scores at the top of a page
DIGITS = 4  # significant ones of a rounded number


def exact(shown: str, value: Any) -> Markup:
    """Text for people; where it is not all of the value, that is its title, which is printed behind it."""
    said = block(str(value))
    if shown == said:
        return escape(shown)
    return Markup('<data class="exact" value="{0}" title="{0}">{1}</data>').format(said, block(shown))


def number(value: Any) -> Markup:
    """A number, rounded, or the beginning of a hash; whatever else it is, as it is."""
    if isinstance(value, list) and value and all(isinstance(each, int | float) for each in value):
        return Markup("[{}]").format(Markup(", ").join(map(number, value)))
    if isinstance(value, str) and HASH.fullmatch(value):
        return Markup("<code>{}</code>").format(exact(value[:12], value))
    if isinstance(value, bool) or not isinstance(value, int | float):
        return setting(value)
    if isinstance(value, int):
        return Markup("{:,}").format(value)
    return exact(f"{value:.{DIGITS}g}", repr(value))


def key(name: str) -> Markup:
    """The name of a setting or a score, which may be broken behind each part of it."""
    broken = str(escape(block(name))).replace(".", ".<wbr>").replace("_", "_<wbr>")
    return Markup(broken)  # noqa: S704  was escaped


def tiles(scores: dict[str, Any]) -> list[tuple[str, Any]]:
    """The first scores that are about the whole of a split, not about a part of it."""
    whole = ((name, score) for name, score in scores.items() if name.count(".") < 2)
    return [(name, score) for name, score in whole if isinstance(score, int | float)][:TILES]


def signed(difference: float) -> Markup:
    """By how much a number went up or down."""
    shown = f"{difference:+,}" if isinstance(difference, int) else f"{difference:+.{DIGITS}g}"
    return exact(shown, f"{difference:+}" if isinstance(difference, float) else shown)


def setting(value: Any) -> Markup:
    """A value of params.yaml as it would be written there."""
    if isinstance(value, str):
        return escape(block(value)) if value else Markup("<em>empty</em>")
    if value is None:
        return Markup("<em>null</em>")
    return escape(block(json.dumps(value, ensure_ascii=False)))


def day(moment: str | int | None) -> Markup:
    """A moment in UTC, to the minute; it is given in ISO 8601 or in milliseconds since 1970."""
    if moment is None:
        return Markup("<em>unknown</em>")
    try:
        at = datetime.fromisoformat(moment) if isinstance(moment, str) else datetime.fromtimestamp(moment / 1000, UTC)
    except (ValueError, OverflowError, OSError):
        return escape(block(str(moment)))
    text = at.astimezone(UTC).strftime("%Y-%m-%d %H:%M UTC")
    return Markup('<time datetime="{0}" title="{0}">{1}</time>').format(at.isoformat(timespec="seconds"), text)


def ticks(text: str) -> Markup:
    """A sentence with `commands` in it, as code."""
    parts = block(text).split("`")
    return Markup().join(Markup("<code>{}</code>").format(each) if i % 2 else each for i, each in enumerate(parts))


def card(markdown: str, level: int) -> Markup:
    """Markdown of others as HTML, its titles at `level` and below.

    Without their HTML, their pictures and whatever else a page would load or run.
    """
    from markdown_it import MarkdownIt

    reader = MarkdownIt("js-default", {"html": False, "linkify": False, "typographer": False}).disable("image")
    tokens = reader.parse(block(markdown))
    titles = [token for token in tokens if token.type in ("heading_open", "heading_close")]
    highest = min((int(token.tag[1]) for token in titles), default=1)
    for token in titles:
        token.tag = f"h{min(level + int(token.tag[1]) - highest, 6)}"
    html = reader.renderer.render(tokens, reader.options, {})
    html = re.sub(r'<a href="#[^"]*">(.*?)</a>', r"\1", html, flags=re.DOTALL)  # a place in MLflow's own pages
    html = html.replace("<table>", '<div class="wide" tabindex="0"><table>').replace("</table>", "</table></div>")
    return Markup(html)  # noqa: S704  the reader escapes all text
