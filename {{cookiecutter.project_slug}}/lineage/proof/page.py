"""The trace as one HTML page."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlencode

from ..base.pages import render as render_page

CHAINS = 20  # drawn in full on one page, which is to stay below 300 kB


def render(document: dict[str, Any]) -> str:
    """The text of the page for what `trace` returns."""
    filters: dict[str, Callable[..., Any]] = {"moment": moment, "bytes": human_size, "console": console_url}
    return render_page(Path(__file__).with_name("page.html.jinja"), filters, trace=document, shown=CHAINS)


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
