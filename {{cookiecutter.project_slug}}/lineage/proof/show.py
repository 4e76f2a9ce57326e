"""Answers for people and for programs."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from rich.markup import escape

from ..base.printable import some
from ..base.terminal import print_answer
from ..git.history import DATA_TAGS
from ..settings import flatten
from .verify import LIMITS, Link, Verdict

if TYPE_CHECKING:
    from rich.tree import Tree

    from .data_pull import Pulled
    from .data_push import Pushed
    from .data_tag import Tagged
    from .link import Linked
    from .reproduce import Comparison
    from .retired import Retirement

WIDTH = 2000  # longer than any line: terminals wrap
UNKNOWN = "[yellow]unknown[/]"
COLOURS = {"PASS": "green", "FAIL": "red", "INCONCLUSIVE": "yellow", "ERASED": "magenta"}


def show_verdicts(
    verdicts: list[Verdict], scope: str, retired: list[Retirement] | None = None, *, as_json: bool
) -> None:
    """Prints what `lineage verify` found; `scope` says which models it looked for, `retired` which it left out.

    The last lines say what to do now, where that is known.
    """
    retired = retired or []
    if as_json:
        documents = [
            {"model": verdict.model, "state": verdict.state, "fix": verdict.fix, **asdict(verdict)}
            for verdict in verdicts
        ]
        left_out = [asdict(retirement) for retirement in retired]
        print_answer(
            json.dumps({"scope": scope, "models": documents, "retired": left_out}, indent=2, ensure_ascii=False)
        )
        return
    from rich.console import Console

    console = Console(highlight=False, soft_wrap=True)
    for verdict in verdicts:
        console.print(f"[bold]{escape(verdict.model)}[/]  {_coloured(verdict.state)}  {verdict.sentence}")
        width = max(len(link.name) for link in verdict.links)
        for link, same in _by_cause(verdict.links):
            also = f" Nor can anything be said of: {', '.join(same)}." if same else ""
            console.print(f"  {_coloured(link.state, 12)}  [bold]{link.name:<{width}}[/]  {escape(link.text + also)}")
        for note in verdict.notes:
            console.print(f"  {'note':<12}  {escape(note)}")
    for retirement in retired:
        said = f"{retirement.reason} ({retirement.by}, {retirement.at})"
        console.print(f"[bold]{escape(retirement.model)}[/]  retired, not looked at: {escape(said)}")
    console.print(f"{_counted(verdicts, len(retired))} ({escape(scope)}).")
    if any(verdict.state in ("PASS", "ERASED") for verdict in verdicts):
        console.print(LIMITS)
    for fix in dict.fromkeys(verdict.fix for verdict in verdicts if verdict.fix):
        concerned = [verdict.model for verdict in verdicts if verdict.fix == fix]
        console.print(f"[bold]What to do now[/] ({escape(some(concerned))}): {escape(fix)}.")


def _by_cause(links: Iterable[Link]) -> Iterator[tuple[Link, list[str]]]:
    """The links; those of which nothing can be said for the same reason are one, with the names of the others."""
    others: dict[str, list[str]] = {}
    for link in links:
        if link.state == "INCONCLUSIVE":
            others.setdefault(link.text, []).append(link.name)
    for link in links:
        if link.state != "INCONCLUSIVE":
            yield link, []
        elif others[link.text][0] == link.name:
            yield link, others[link.text][1:]


def _counted(verdicts: list[Verdict], retired: int) -> str:
    """How many models were proved, and of the others how many are in which state."""
    states = Counter(verdict.state for verdict in verdicts)
    said = []
    if states["PASS"] or not states["ERASED"]:
        said.append(f"{states['PASS']} of {len(verdicts)} models proved")
    if states["ERASED"]:  # nothing is against these either: all that is left of them is as it was
        models = "" if said else " models"
        erased = f"{states['ERASED']} of {len(verdicts)}{models}"
        said.append(f"{erased} proved but for records that were erased on purpose")
    said += [f"{states[state]} {state}" for state in ("FAIL", "INCONCLUSIVE") if states[state]]
    if retired:
        said.append(f"{retired} retired and not looked at")
    return ", ".join(said)


def _coloured(state: str, width: int = 0) -> str:
    return f"[{COLOURS[state]}]{state:<{width}}[/]"


def show_trace(document: dict[str, Any], *, as_json: bool) -> None:
    """Prints what `lineage trace` found, as a tree."""
    if as_json:
        print_answer(json.dumps(document, indent=2, ensure_ascii=False))
        return
    from rich.console import Console

    console = Console(highlight=False, width=WIDTH)
    if document["kind"] != "model version":
        first = f": {_commit(document['commit'])}" if document["commit"] or not document["models"] else ""
        console.print(f"{document['kind']} {escape(document['asked'])}{first}")
    for model in document["models"]:
        with console.capture() as drawn:  # a tree fills or cuts its lines; a hash must stay whole
            console.print(_tree(model))
        print("\n".join(line.rstrip() for line in drawn.get().splitlines()))
    if document["kind"] != "model version":
        scope = document["scope"]
        count = len(document["models"])
        where = f"({scope['tracking_uri']}, project {scope['project_id']})"
        console.print(f"{count} model{'s' * (count != 1)} {escape(where)}.")


def _tree(model: dict[str, Any]) -> Tree:
    from rich.tree import Tree

    version, run, data = model["version"] or {}, model["training_run"], model["dataset"]
    aliases = f"  @{', @'.join(version['aliases'])}" if version.get("aliases") else ""
    tree = Tree(f"[bold]{escape(model['title'])}[/]{escape(aliases)}  {escape(version.get('status', ''))}")
    for gap in model["gaps"]:
        tree.add(f"[yellow]incomplete:[/] {escape(gap)}")
    tree.add(f"model identity  {_value(model['identity'])}")
    if version.get("package"):
        tree.add(f"package in SageMaker's Model Registry  {escape(version['package'])}")
    people = ", ".join(f"{did} by {name or 'unknown'}" for did, name in model["people"].items())
    tree.add(f"people  {escape(people)}")
    node = tree.add(f"[bold]training run[/]  {_value(run['id'])}  {_value(run['state'])}")
    for name, there in run["elsewhere"].items():
        more = ", ".join(f"{key} {value}" for key, value in there.items() if key != "run_id")
        node.add(f"run in {escape(name)}  {escape(there['run_id'])}{escape(f'  {more}') if more else ''}")
    node.add("parameters  " + escape(", ".join(f"{key}={value}" for key, value in run["parameters"].items())))
    if run["started_from"]:
        changed = f", with changes in {', '.join(run['dirty_files'])}" if run["dirty_files"] else ""
        node.add(escape(f"ran on the code of commit {run['started_from'][:12]}{changed}"))
    if job := run["job"]:
        node.add("job  " + escape(", ".join(f"{key.replace('_', ' ')} {value}" for key, value in job.items())))
    for one in run["interruptions"]:
        moment = f"({one.get('ended')}), resumed {one.get('resumed')}"
        node.add(escape(f"interrupted after epoch {one.get('epochs')} {moment}"))
    if started := model["pretrained"]:
        node.add(f"started from  {_value(started['url'])}, SHA-256 {_value(started['sha256'])}")
    metrics = flatten(model["metrics"] or {})
    node.add("metrics  " + (escape(", ".join(f"{key}={value}" for key, value in metrics.items())) or UNKNOWN))
    node = node.add(f"[bold]result commit[/]  {_commit(model['result_commit'])}")
    tag = "".join(f"  {DATA_TAGS}{name}" for name in (model["data_version"] or "").split(", ") if name)
    node = node.add(f"[bold]data commit[/]  {_commit(model['data_commit'])}{escape(tag)}")
    node = node.add(f"[bold]dataset version[/]  {_value(data['md5'])}")
    for name in ("records", "subjects"):
        counts = ", ".join(f"{split} {count}" for split, count in (data[name] or {}).items())
        node.add(f"{name}  {escape(counts) or UNKNOWN}")
    node.add(f"classes  {escape(', '.join(data['classes'])) if data['classes'] else UNKNOWN}")
    node.add(f"root over the subjects  {_value(model['subjects_root'])}")
    if model["consent"]:
        node.add(f"consent snapshot  {_value(model['consent'])}")
    node.add(f"shards  {data['shards'] if data['shards'] is not None else UNKNOWN}")
    node = node.add(f"[bold]raw data[/]  {_value(model['raw']['md5'])}")
    node = node.add(f"[bold]bytes[/]  {_value(model['places']['remote'])}, once pushed: `lineage verify` looks")
    for md5, url in model["places"]["objects"].items():
        here = ", in the cache here" if model["places"]["cached"][md5] else ""
        node.add(f"{_value(url or md5)}{here}")
    return tree


def _commit(commit: dict[str, Any] | None) -> str:
    if commit is None:
        return UNKNOWN
    if not commit["found"]:
        return f"{escape(commit['id'])}  [red]not in this repository[/]"
    reachable = "" if commit["reachable"] else "  [red]in no ref[/]"
    return f"{commit['id'][:12]}  {escape(commit['subject'])}{reachable}"


def _value(text: str | None) -> str:
    return escape(text) if text else UNKNOWN


def show_linked(done: Linked) -> None:
    """Prints what `lineage link` did."""
    print(f"{done.looked_at} runs and versions looked at; {len(done.linked)} linked now.")
    for name in done.linked:
        print(f"  linked: {name}")
    for name in done.lost:
        print(f"  the commit of {name} is gone, and no other commit holds it.")
    for name in done.elsewhere:
        print(f"  the commit of {name} is not in this clone (`git fetch`): left as it is.")
    for name in done.edited:
        print(f"  somebody has edited the description of {name}, so it stays as it is.")
    if done.pending:
        print(f"{len(done.pending)} pending: no commit holds their data or result yet (`git add -A && git commit`).")
    if done.alias:
        print(done.alias)
    if done.without_result:
        print(f"{done.without_result} runs failed, were killed or are going on: they left no result to link.")


def show_tagged(done: Tagged, *, as_json: bool) -> None:
    """Prints what `lineage data tag` did."""
    if as_json:
        print_answer(json.dumps(asdict(done), indent=2))
        return
    state = "is now" if done.is_new else "was already"
    print(f"{done.tag} {state} on {done.commit[:12]}: dataset version {done.dataset}.")
    if done.dvc_remote:
        _print_sent(done)
    else:
        print("There is no DVC remote: its objects are in the cache here and nowhere else.")
    for path in done.lacking:
        print(f"warning: {path} of that commit is neither there nor in the cache: `dvc pull` cannot bring it.")
    if done.git_remote:
        print(f"{done.git_remote} has the tag. Anywhere: git checkout {done.tag} && dvc pull")
    else:
        print("There is no Git remote: nobody else has the tag.")


def show_pushed(done: Pushed, *, as_json: bool) -> None:
    """Prints what `lineage data push` did."""
    if as_json:
        print_answer(json.dumps(asdict(done), indent=2))
        return
    _print_sent(done)
    for sentence in done.lacking:
        print(f"lacking: {sentence}")


def show_pulled(done: Pulled, *, as_json: bool) -> None:
    """Prints what `lineage data pull` did."""
    if as_json:
        print_answer(json.dumps(asdict(done), indent=2))
        return
    print(f"{done.objects} objects are in the cache, {done.brought} of them brought now from {done.dvc_remote}.")
    for sentence in done.lacking:
        print(f"lacking: {sentence}")


def _print_sent(done: Pushed) -> None:
    print(f"{done.objects} objects are in the DVC remote {done.dvc_remote}, {done.sent} of them sent now.")
    for what in (*done.erased, *done.collected):
        print(f"left out: {what}")


def show_comparison(title: str, comparison: Comparison, *, as_json: bool) -> None:
    """Prints what `lineage reproduce` found."""
    if as_json:
        print_answer(json.dumps({"model": title, "identical": comparison.is_identical, **asdict(comparison)}, indent=2))
        return
    if comparison.is_identical:
        print(f"{title}: bit-identical, {comparison.looked_at} of {comparison.looked_at} outputs.")
    else:
        same = comparison.looked_at - len(comparison.hashes)
        print(f"{title}: different, {same} of {comparison.looked_at} outputs are bit-identical.")
    for path, (then, now) in comparison.hashes.items():
        print(f"  {path}: {then} -> {now}")
    for key, (then, now) in comparison.metrics.items():
        by = f" (by {now - then:+g})" if isinstance(then, int | float) and isinstance(now, int | float) else ""
        print(f"  metric {key}: {then} -> {now}{by}")
    for name, most in comparison.weights.items():
        print(f"  weights {name}: at most {most:g} apart")
    for key, (then, now) in comparison.circumstances.items():
        print(f"  {key}: {then} -> {now}")
    for what in comparison.unknown:
        print(f"  unknown: {what}")
