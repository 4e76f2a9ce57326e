"""The trace as one HTML page: no script, no network."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlencode

from ..base.pages import render as render_page
from ..base.pages import write_whole
from .before import scores_in
from .case import Evidence, ModelCase
from .shown import card, day, exact, key, number, setting, signed, ticks, tiles
from .story import Story, story_of
from .targets import Target
from .trace import chains, document_of
from .verify import LIMITS, Verdict

CHAINS = 20  # drawn in full on one page, which is to stay below 500 kB: each adds 16 kB, or 21 if it was proved


def write_page(evidence: Evidence, target: Target, path: Path, verdicts: list[Verdict] | None = None) -> None:
    """Writes the page of a trace to `path`."""
    write_whole(path, page_of(evidence, target, verdicts))


def page_of(evidence: Evidence, target: Target, verdicts: list[Verdict] | None = None) -> str:
    """The text of the page. `verdicts` are those of the cases of the target, in their order, where they were proved.

    Of every other model the page says that it was not verified.
    """
    found = chains(evidence, target)
    verified = [*(verdicts or []), *[None] * CHAINS]
    models = [_told(case, chain, verdict) for (case, chain), verdict in zip(found[:CHAINS], verified, strict=False)]
    rest = [chain for _, chain in found[CHAINS:]]
    filters: dict[str, Callable[..., Any]] = {
        "moment": moment,
        "bytes": human_size,
        "console": console_url,
        "number": number,
        "exact": exact,
        "setting": setting,
        "day": day,
        "flat": scores_in,
        "signed": signed,
        "key": key,
        "tiles": tiles,
        "ticks": ticks,
        "card": card,
    }
    return render_page(
        Path(__file__).with_name("page.html.jinja"),
        filters,
        trace=document_of(evidence, target, models),
        rest=rest,
        limits=LIMITS,
        made=datetime.now(UTC).isoformat(timespec="seconds"),
    )


def _told(case: ModelCase, chain: dict[str, Any], verdict: Verdict | None) -> dict[str, Any]:
    story = story_of(case, chain)
    return {**chain, "story": story, "people": _people(chain, story), "verdict": verdict}


def _people(chain: dict[str, Any], story: Story) -> dict[str, list[str]]:
    """What each person did, in the order of the chain, by name and address; what nobody is known for is under ""."""
    did = [("committed the data", (chain["data_commit"] or {}).get("author"))]
    did += [(_DID[key], name) for key, name in chain["people"].items()]
    did += [(f"decided about @{each['alias']}", each["by"]) for each in story.decisions if each["by"]]
    people: dict[str, list[str]] = {}
    for what, name in did:
        people.setdefault(name or "", []).append(what)
    return people


_DID = {"trained": "trained", "committed": "committed the result", "registered": "registered"}


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
