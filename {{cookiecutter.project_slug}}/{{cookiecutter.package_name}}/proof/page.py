"""The trace as one HTML page that needs nothing else: no script, no network."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlencode

CHAINS = 20  # drawn in full on one page, which is to stay below 300 kB


def render(document: dict[str, Any]) -> str:
    """The text of the page for what `trace` returns."""
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    folder = Path(__file__).parent
    environment = Environment(
        loader=FileSystemLoader(folder),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["moment"] = moment
    environment.filters["bytes"] = human_size
    environment.filters["console"] = console_url
    return environment.get_template("page.html.jinja").render(trace=document, shown=CHAINS)


def console_url(url: str | None) -> str | None:
    """The page of the S3 console for an s3:// address; None for any other."""
    if url is None or not url.startswith("s3://"):
        return None
    bucket, _, key = url.removeprefix("s3://").partition("/")
    return f"https://s3.console.aws.amazon.com/s3/object/{quote(bucket)}?{urlencode({'prefix': key})}"


def moment(milliseconds: int | None) -> str:
    """A time stamp of MLflow for people, with its zone."""
    if milliseconds is None:
        return "unknown"
    return datetime.fromtimestamp(milliseconds / 1000, UTC).strftime("%Y-%m-%d %H:%M:%S UTC")


def human_size(size: int | None) -> str:
    """A number of bytes for people."""
    if size is None:
        return "unknown size"
    value = float(size)
    for unit in ("bytes", "kB", "MB", "GB"):
        if value < 1000:
            return f"{value:.0f} {unit}" if unit == "bytes" else f"{value:.1f} {unit}"
        value /= 1000
    return f"{value:.1f} TB"
