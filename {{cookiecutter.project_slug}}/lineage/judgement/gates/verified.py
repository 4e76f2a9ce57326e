"""Gate verified: the chain of the version is proved, link by link (`lineage verify`)."""

from __future__ import annotations

from ...base.printable import some
from ...proof.case import ModelCase
from ...proof.verify import ALIASES, Verdict, verify
from .answer import Answer


def verified(case: ModelCase) -> Answer:
    """As `lineage verify` answers. A version from whose data somebody was erased FAILs: it has learnt from them."""
    verdict = verify(case)
    # where the aliases are is looked at before any gate is asked, and this version may be about to get one
    verdict = Verdict(verdict.model, tuple(link for link in verdict.links if link.name != ALIASES))
    return judge(verdict)


def judge(verdict: Verdict) -> Answer:
    """What the answers of the links mean here."""
    figures = {link.name: {"state": link.state, "looked_at": link.looked_at} for link in verdict.links}
    # what is unknown besides takes nothing away from an erasure: no reason may let that pass
    states = {link.state for link in verdict.links}
    state = "ERASED" if "ERASED" in states and verdict.state != "FAIL" else verdict.state
    open_ = [link for link in verdict.links if link.state == state and state != "PASS"]
    more = " ".join(f"{link.name}: {link.text}" for link in open_)
    if state == "PASS":
        counted = sum(link.looked_at for link in verdict.links)
        links = len(verdict.links)
        return Answer("PASS", f"{links} of {links} links are proved ({counted} checks)", figures)
    named = some([link.name for link in open_], most=10)
    of_all = f"{len(open_)} of {len(verdict.links)} links"
    if state == "ERASED":
        text = f"somebody was erased from the data that it was trained on ({of_all}: {named})"
        return Answer("FAIL", text, figures, more, "train again on the data as they are now")
    if state == "FAIL":
        return Answer("FAIL", f"{of_all} are disproved: {named}", figures, more, verdict.fix)
    return Answer("INCONCLUSIVE", f"of {of_all} nothing can be said: {named}", figures, more, verdict.fix)
