"""What `lineage drift` prints: what was compared, and of what has drifted, both histograms."""

from __future__ import annotations

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from .drift import DRIFT, LEVEL, NO_DRIFT, PSI, Drift, Feature

WIDTH = 24  # letters of a whole bar
MARKS = {DRIFT: "red", NO_DRIFT: "green"}


def show_drift(reference: str, other: str, drift: Drift) -> None:
    """Prints the answer."""
    console = Console(highlight=False, soft_wrap=True)
    colour = MARKS.get(drift.verdict, "yellow")
    console.print(f"[bold {colour}]{escape(str(drift))}[/]")
    for name, size in ((reference, drift.before), (other, drift.after)):
        known = "subjects" in size
        of = f"records of {size['subjects']} subjects" if known else "images, of how many subjects is unknown"
        console.print(f"  {escape(name)}: {size['records']} {of}")
    if drift.features:
        console.print(_overview(drift))
    for feature in drift.drifted:
        console.print()
        console.print(_both(feature, reference, other))
    for feature in drift.features:
        for what, kinds in (("new", feature.new), ("gone", feature.gone)):
            if kinds:
                console.print(f"  {escape(feature.name)}, {what}: {escape(', '.join(kinds[:10]))}")
    for reason in drift.unknown if drift.verdict == DRIFT else ():
        console.print(f"  [yellow]unknown:[/] {escape(reason)}")
    if drift.not_compared:
        console.print(f"  not compared: {escape('; '.join(drift.not_compared))}")
    if drift.features:
        console.print(
            f"  drift: PSI of {PSI} or more, and p below {LEVEL} (chi-square, corrected for {len(drift.features)})"
        )


def _overview(drift: Drift) -> Table:
    table = Table(box=None, pad_edge=False, padding=(0, 3, 0, 0))
    for name, side in (("", "left"), ("PSI", "right"), ("p, corrected", "right"), ("", "left")):
        table.add_column(name, justify="right" if side == "right" else "left")
    for each in sorted(drift.features, key=lambda one: -one.psi):
        mark = "[red]drifted[/]" if each.drifted else ""
        table.add_row(f"  {escape(each.name)}", f"{each.psi:.3f}", _shown(each.p_corrected), mark)
    return table


def _shown(p: float) -> str:
    return f"{p:.3f}" if p >= 0.001 else "< 0.001"


def _both(feature: Feature, reference: str, other: str) -> Table:
    """The shares of a feature's groups on both sides, as bars of one scale."""
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), title_justify="left")
    table.add_column(f"  {escape(feature.name)}", no_wrap=True)
    table.add_column(escape(reference), no_wrap=True)
    table.add_column(escape(other), no_wrap=True)
    scale = max(*feature.before, *feature.after, 1e-9)
    for group, before, after in zip(feature.groups, feature.before, feature.after, strict=True):
        table.add_row(f"  {escape(group)}", _bar(before, scale), _bar(after, scale))
    return table


def _bar(share: float, scale: float) -> str:
    filled = round(WIDTH * share / scale)
    return f"{'█' * filled}{' ' * (WIDTH - filled)} {share:6.1%}"
