"""What serving looks like, for people and for programs."""

from __future__ import annotations

from rich.markup import escape

from ..base.printable import printable
from ..judgement.show import COLOURS
from .allowed import Permission
from .status import Standing


def show_permission(permission: Permission) -> None:
    """The answer in the first line, then each gate; last, what to do now."""
    from rich.console import Console

    console, title = Console(highlight=False, soft_wrap=True), escape(permission.case.title)
    against = ", ".join(permission.open)
    if permission.state == "FAIL":
        console.print(f"[bold]refused[/]  {title} may not serve: {against} {_verb(permission)} not pass.")
    elif permission.state == "INCONCLUSIVE":
        console.print(f"[bold]inconclusive[/]  whether {title} may serve: of {against} nothing can be said.")
    else:
        console.print(f"[bold]may serve[/]  {title}")
    for name, answer in permission.answers.items():
        console.print(f"  [{COLOURS[answer.state]}]{answer.state:<12}[/]  [bold]{name:<8}[/]  {_safe(answer.text)}")
        if answer.more and answer.state != "PASS":
            console.print(f"  {'':<12}  {'':<8}  {_safe(answer.more)}")
        if name in permission.accepted:
            console.print(f"  {'':<12}  {'':<8}  accepted: {_safe(permission.reason)}")
    for note in permission.notes:
        console.print(f"  {_safe(note)}")
    fix = permission.fix or ("--accept REASON lets it through." if permission.state == "INCONCLUSIVE" else "")
    if fix:
        console.print(f"[bold]now:[/] {_safe(fix)}")


def show_standing(found: list[Standing]) -> None:
    """One line an endpoint, and below it what is not as it should be."""
    from rich.console import Console

    console = Console(highlight=False, soft_wrap=True)
    for each in found:
        kept = f"  requests are kept at {each.capture}" if each.capture else ""
        console.print(f"[bold]{_safe(each.name)}[/]  {_safe(each.status)}  {_safe(each.model)}{_safe(kept)}")
        if each.note:
            console.print(f"  {_safe(each.note)}")
        for fault in each.faults:
            console.print(f"  [yellow]{_safe(fault)}.[/]")
    if not found:
        console.print("this project has no endpoint in this account and region, and no version names one.")


def _verb(permission: Permission) -> str:
    return "does" if len(permission.open) == 1 else "do"


def _safe(text: str) -> str:
    return escape(printable(text))
