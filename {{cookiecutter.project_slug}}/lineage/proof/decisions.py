"""The decisions that Git holds, and where an alias stands by them: as decided, half way, or moved by somebody else."""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Literal
from urllib.parse import unquote

from ..base.errors import DamageError, PromotionError
from ..base.printable import printable
from ..dvc.dvcfile import PARAMS_FILE
from ..git.history import CommitInfo, History
from ..git.states import PERMANENT
from .decision import FOLDER, NAME, Document, Version, folder_of, never_asked, never_opened, parse, path_of, sha256_of

if TYPE_CHECKING:
    from ..tracking.store import Store

# tags of a version and of its registered model, behind the name of the alias: which decision it is from
DECISION, DECISION_SHA256 = "decision", "decision_sha256"

Where = Literal["as decided", "unfinished", "moved", "not here", "gone"]


def decision_tags(alias: str, decision: Decision) -> dict[str, str]:
    """The tags of a version that a decision gave an alias, and of its registered model."""
    return {f"{alias}_{DECISION}": decision.path, f"{alias}_{DECISION_SHA256}": decision.sha256}


@dataclass(frozen=True)
class Decision:
    """One decision, and the commit that brought it."""

    document: Document
    path: str
    sha256: str
    commit: str
    is_here: bool  # HEAD holds it; else only another branch or tag does

    @property
    def version(self) -> Version | None:
        """Who has the alias from then on."""
        return self.document.version


@dataclass
class Line:
    """The decisions about one alias of one registered model, oldest first."""

    model: str
    alias: str
    decisions: list[Decision] = field(default_factory=list)
    faults: list[str] = field(default_factory=list)  # what cannot be right about them
    elsewhere: list[str] = field(default_factory=list)  # what other branches have otherwise
    option: str = ""  # of commands about it, where params.yaml names another model: ` --model NAME`

    @property
    def last(self) -> Decision | None:
        return self.decisions[-1] if self.decisions else None

    @property
    def now(self) -> Version | None:
        """Who has the alias by the last decision."""
        return self.last.version if self.last else None

    @property
    def former(self) -> Version | None:
        """Where no version has the alias any more: the last that had it."""
        held = [each.version for each in self.decisions if each.version is not None]
        return held[-1] if held and self.now is None else None

    @property
    def before(self) -> list[Version]:
        """Whom a demotion leads back to, the nearest last: earlier versions that were not demoted themselves.

        The same model is meant by its identity: another commit may be found to hold its result by now.
        """
        stack: list[Version] = []
        for decision in self.decisions:
            version = decision.version
            if decision.document.kind == "promote" and version is not None:
                stack.append(version)
                continue
            while stack and (version is None or stack[-1].identity != version.identity):
                stack.pop()
        return [version for version in stack if self.now is None or version.identity != self.now.identity]

    def of(self, number: str) -> list[Decision]:
        """The decisions that gave a version the alias, or took it from it."""
        both = ((each, (each.version, each.document.before)) for each in self.decisions)
        return [each for each, versions in both if any(version and version.number == number for version in versions)]


@dataclass(frozen=True)
class Standing:
    """Where an alias stands, in a sentence."""

    where: Where
    text: str
    fix: str = ""


def standing(
    line: Line, pointed: str | None, tags: Mapping[str, str], *, exists: bool = True, is_same: bool = True
) -> Standing:
    """Compares the decisions with the registry: the number that the alias names, and the tags of the registered model.

    A decision is carried out in this order: committed, tags of the version, alias, tags of the registered model. So
    where the alias is as before and the last tags are missing, it was interrupted. `exists`: whether the registry still
    has a version of the number that was decided on. `is_same`: whether that is the very model that was decided on.
    """
    last, alias, decided = line.last, line.alias, line.now.number if line.now else None
    name, named = f"models:/{line.model}@{alias}", _named(pointed)
    marked, at = tags.get(f"{alias}_{DECISION_SHA256}"), tags.get(f"{alias}_{DECISION}", "")
    as_decided = f"lineage promote --as-decided --to {alias}{line.option}"
    again = f"lineage demote {alias}{line.option} --reason ..."
    if marked is not None and marked not in {each.sha256 for each in line.decisions}:
        text = f"{name} is {named} by {printable(at)}, which no branch or tag of this clone has."
        return Standing("not here", text, "git pull")
    if exists and not is_same:
        text = (
            f"{last and last.path} is about another model than version {decided} in MLflow is now; {name} is {named}."
        )
        return Standing("gone", text, again)
    if pointed == decided:
        if last is not None and marked != last.sha256:
            return Standing("unfinished", f"{last.path} is carried out but for its tags in MLflow.", as_decided)
        return Standing("as decided", f"{name} is {named}" + (f" by {last.path}" if last else ", and nobody decided"))
    if pointed is None and not exists:
        text = f"{last and last.path} gives {name} to version {decided}, which is not in MLflow any more."
        return Standing("gone", text, again)
    if last is not None and marked != last.sha256:
        was = last.document.before.number if last.document.before else None
        if pointed == was or pointed is None:
            text = f"{last.path} gives {name} to {_named(decided)}, and it is {named}: the command was interrupted."
            return Standing("unfinished", text, as_decided)
    if last is None:
        text = f"{name} is {named}, and no decision gave it that: it was set behind the back of `lineage promote`."
        return Standing("moved", text, f"lineage promote models:/{line.model}/{pointed} --to {alias}")
    text = f"{name} is {named}, and {last.path} gives it to {_named(decided)}: it was moved behind its back."
    return Standing("moved", text, as_decided)


def registered(store: Store, line: Line) -> tuple[bool, bool]:
    """Whether the registry has a version of the number that has the alias by Git, and whether it is that very model."""
    if line.now is None:
        return True, True
    version = store.version(line.model, line.now.number)
    return version is not None, version is not None and version.tags.get("model_identity") == line.now.identity


def _named(number: str | None) -> str:
    return f"version {number}" if number else "no version"


class Decisions:
    """The decisions about every alias and registered model, in what branches, tags and HEAD lead to."""

    def __init__(self, history: History) -> None:
        self._history = history

    def line(self, model: str, alias: str) -> Line:
        """Those about one alias of one registered model."""
        return self.lines.get((model, alias)) or self._empty(model, alias)

    def others(self, model: str, alias: str) -> list[Line]:
        """Those about the same alias of registered models of other names, which params.yaml had before, perhaps."""
        return [line for (name, each), line in self.lines.items() if each == alias and name != model]

    def named(self, asked: str | None, current: str) -> str:
        """The registered model that is meant: `asked`, or the one of params.yaml, which is `current`.

        Raises PromotionError for one that is neither that nor one of a decision.
        """
        names = dict.fromkeys([current, *(name for name, _ in self.lines)] if asked else [current])
        if asked and asked not in names:
            raise PromotionError(f"no decision is about a model {printable(asked)}. There are {', '.join(names)}.")
        return asked or current

    def _empty(self, model: str, alias: str) -> Line:
        tracking = self._history.at("HEAD").params(PARAMS_FILE).get("tracking")
        current = tracking.get("model_name") if isinstance(tracking, dict) else None
        return Line(model, alias, option="" if current in (None, model) else f" --model {shlex.quote(model)}")

    def aliases(self, model: str) -> list[str]:
        """The aliases of a registered model that were ever decided on, or are to be by params.yaml of HEAD."""
        section = self._history.at("HEAD").params(PARAMS_FILE).get("promotion")
        named = section.get("aliases") if isinstance(section, dict) else None
        listed = [alias for alias in named if isinstance(alias, str)] if isinstance(named, list) else []
        return list(dict.fromkeys([*listed, *(alias for name, alias in self.lines if name == model)]))

    def info(self, decision: Decision) -> CommitInfo:
        """The commit that brought a decision."""
        return self._history.info(decision.commit)

    @cached_property
    def lines(self) -> dict[tuple[str, str], Line]:
        """By registered model and alias."""
        found: dict[tuple[str, str], Line] = {}
        for path in sorted(self._brought):
            match = NAME.fullmatch(path)
            if match is not None:
                self._add(found, path, match["alias"])
        for line in found.values():
            _chain(line, self._project_id)
        return found

    @property
    def _project_id(self) -> str:
        return str(self._history.at("HEAD").params(PARAMS_FILE).get("project_id"))

    def _add(self, found: dict[tuple[str, str], Line], path: str, alias: str) -> None:
        """Reads one file, as HEAD or else another branch has it, and what became of it since."""
        here, brought = self._history.at("HEAD").read(path), self._brought[path]
        contents = {commit: self._history.blob(blob) for commit, blob in brought}
        commit = next((each for each, data in contents.items() if here in (None, data)), None)
        fault, data = "", here if here is not None else contents[next(iter(contents))]
        try:
            document = parse(data, path)
        except DamageError as error:
            model = next((name for name, _ in found if path.startswith(f"{folder_of(name)}/")), None)
            model = model or unquote(path.split("/")[1])
            found.setdefault((model, alias), self._empty(model, alias)).faults.append(f"{path} is no decision: {error}")
            return
        line = found.setdefault((document.model, alias), self._empty(document.model, alias))
        behind = [each for each in contents if self._is_behind(each)]
        others = [each for each, content in contents.items() if content != data and each not in behind]
        if changed := self._changed.get(path):
            fault = f"{path} was changed or removed by commit {changed[:12]}: decisions are only added"
        elif here is None and behind:
            fault = f"{path} was brought by commit {behind[0][:12]}, and HEAD does not have it any more"
        elif commit is None:
            fault = f"{path} is not as any commit brought it"
        line.faults += [fault] if fault else []
        if others:
            line.elsewhere.append(f"{path} is another one in commit {others[0][:12]}: two were made at once")
        elif here is None and not behind:
            line.elsewhere.append(f"{path} of commit {next(iter(contents))[:12]} is not in HEAD: merge it first")
        line.decisions.append(
            Decision(document, path, sha256_of(data), commit or next(iter(contents)), is_here=here is not None)
        )

    def _is_behind(self, commit: str) -> bool:
        """Whether HEAD comes after a commit."""
        return self._history.git.run("merge-base", "--is-ancestor", commit, "HEAD") is not None

    @cached_property
    def _brought(self) -> dict[str, list[tuple[str, str]]]:
        """Commit and blob of each addition of a file, oldest first."""
        found: dict[str, list[tuple[str, str]]] = {}
        for commit, status, blob, path in self._log:
            if status == "A":
                found.setdefault(path, []).append((commit, blob))
        return found

    @cached_property
    def _changed(self) -> dict[str, str]:
        """The commit that changed or removed a file."""
        return {path: commit for commit, status, _, path in self._log if status != "A"}

    @cached_property
    def _log(self) -> list[tuple[str, str, str, str]]:
        """Commit, status, blob and path of each change, oldest first. What only a merge brings, nobody has decided."""
        git, found, commit = self._history.git, list[tuple[str, str, str, str]](), ""
        if not git.lines("rev-list", "--max-count=1", *PERMANENT, "HEAD"):
            return []
        options = ("--full-history", "--no-merges", "--raw", "--no-abbrev", "--no-renames", "--relative", "--reverse")
        for line in git.must("log", *PERMANENT, "HEAD", *options, "--topo-order", "--format=%H", "--", f"{FOLDER}/"):
            if line.startswith(":"):
                meta, _, path = line.partition("\t")
                found.append((commit, meta.split()[4], meta.split()[3], path))
            else:
                commit = line or commit
        return found


def _chain(line: Line, project_id: str) -> None:
    """Adds what is wrong about how the decisions follow each other."""
    line.decisions.sort(key=lambda each: each.document.number)
    previous, before = None, None
    for number, decision in enumerate(line.decisions, start=1):
        document = decision.document
        if document.number != number:
            missing = path_of(line.model, line.alias, number)
            line.faults.append(f"{missing} is missing, before {decision.path}")
            return
        if (document.previous, document.before) != (previous, before):
            line.faults.append(f"{decision.path} does not follow the decision before it: that was another one")
        if document.project_id != project_id:
            line.faults.append(f"{decision.path} is of another project ({printable(document.project_id)})")
        if unasked := never_asked(document):
            line.faults.append(f"{decision.path} was made without asking {', '.join(unasked)}")
        if stopped := never_opened(document.gates, document.accepted):
            line.faults.append(f"{decision.path} was made although {', '.join(stopped)} did not pass")
        previous, before = decision.sha256, document.version


def left_behind(history: History) -> list[str]:
    """Files of decisions that lie here and no commit holds, relative to the project: the command was interrupted."""
    git = history.git
    untracked = "\n".join(git.must("ls-files", "-z", "--others", "--", f"{FOLDER}/")).split("\0")
    staged = "\n".join(
        git.must("diff", "--cached", "--name-only", "--diff-filter=A", "--relative", "-z", "HEAD", "--", f"{FOLDER}/")
    ).split("\0")
    own = (path for path in (*untracked, *staged) if path and (NAME.fullmatch(path) or path.endswith(".json.partial")))
    return sorted(dict.fromkeys(own))
