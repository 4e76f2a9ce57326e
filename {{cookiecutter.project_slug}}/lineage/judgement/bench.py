"""Where decisions about one alias are made: whether this checkout may, the decisions so far, and the next one."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Literal

from ..base.errors import PromotionError
from ..base.printable import printable
from ..chain.composition import require_fresh_params
from ..dvc.dvcfile import PARAMS_FILE
from ..dvc.hashes import hash_file, sha256_of_json
from ..git.history import History
from ..proof.case import Evidence
from ..proof.decision import LONGEST_TEXT, Accepted, Asked, Document, Version
from ..proof.decisions import Decision, Decisions, Line, Standing, registered, standing
from ..settings import load_settings, read_params
from ..settings.params import Settings
from ..tracking.candidate import why_not_branch
from .decide import OvertakenError, carry_out, commit, require_quiet, tag_as_before, take_back, tidy
from .gates.answer import Answer

SECTIONS = ("promotion", "privacy")  # of params.yaml, by which gates answer: who is asked for consent is one of them


def not_committed(history: History, root: Path) -> list[str]:
    """The sections of params.yaml that gates answer by and that are not as HEAD has them."""
    committed, here = history.at("HEAD").params(PARAMS_FILE), read_params(root / PARAMS_FILE)
    return [name for name in SECTIONS if here.get(name) != committed.get(name)]


class Bench:
    """Where decisions about one alias are made: the settings, the decisions so far, and the registry."""

    def __init__(self, evidence: Evidence, alias: str, model: str | None = None) -> None:
        """`model`: a registered model of another name than params.yaml has now.

        Raises PromotionError if this checkout may decide nothing about the alias.
        """
        self.evidence, self.alias, self.root = evidence, alias, evidence.root
        self.settings: Settings = load_settings(self.root / PARAMS_FILE)
        self.notes: list[str] = []
        section = self.settings.promotion
        if alias not in section.aliases:
            raise PromotionError(f"{alias} is not among promotion.aliases ({', '.join(section.aliases)}).")
        require_fresh_params(self.root)
        self.model = evidence.decisions.named(model, self.settings.tracking.model_name)

    def require_right_branch(self) -> None:
        """Raises PromotionError where decisions may be others than those that everybody sees."""
        require_quiet(self.evidence.history.git)
        if why_not := why_not_branch(self.root, self.settings.promotion.branches, "promotion.branches"):
            raise PromotionError(f"{why_not}: decisions are made where everybody sees them (promotion.branches).")
        self.evidence.history.require_complete()

    def require_right_place(self) -> None:
        """Raises PromotionError where what is decided here would be seen by nobody, or by gates that nobody sees."""
        git, history = self.evidence.history.git, self.evidence.history
        self.require_right_branch()
        if git.identity() is None:
            raise PromotionError("Git does not know who you are: `git config user.name` and `git config user.email`.")
        if differing := not_committed(history, self.root):
            raise PromotionError(
                f"the gates in params.yaml are not those of the last commit ({', '.join(differing)}). Commit them "
                "first, so that everybody sees which gates were asked: `git add conf params.yaml && git commit`."
            )

    @property
    def asked(self) -> Asked:
        """The gates, whole."""
        settings = self.settings.promotion.model_dump(mode="json")
        return Asked(sha256=sha256_of_json(settings), settings=settings)

    def line(self, model: str) -> Line:
        """The decisions as they are now."""
        return Decisions(History(self.root)).line(model, self.alias)

    def standing(self, line: Line) -> tuple[Standing, str | None]:
        """Where the alias stands now, and which number it has."""
        pointers, tags = self.evidence.store.pointers(line.model)
        exists, is_same = registered(self.evidence.store, line)
        found = standing(line, pointers.get(self.alias), tags, exists=exists, is_same=is_same)
        return found, pointers.get(self.alias)

    def settle(self, line: Line, *, dry_run: bool, pointed_at: str | None = None) -> str | None:
        """Finishes what was interrupted. Returns which number has the alias.

        `pointed_at`: the number that is judged now: where it has the alias and nobody decided yet, it may get one.
        Raises PromotionError where the decisions, or the alias, are not as they should be.
        """
        if wrong := [*line.faults, *line.elsewhere]:
            raise PromotionError(f"{wrong[0]}. `lineage history {self.alias}` lists the decisions.")
        found, pointed = self.standing(line)
        if found.where == "unfinished" and line.last:
            if dry_run:
                self.notes.append(f"{found.text} The next command without --dry-run finishes it.")
                return line.now.number if line.now else None
            before = line.last.document.before
            carry_out(self.evidence.store, line.last, expected={before.number if before else None, None})
            self.notes.append(f"finished what was interrupted: {line.last.path}.")
            return line.now.number if line.now else None
        is_adopted = found.where == "moved" and line.last is None and pointed == pointed_at
        if found.where in ("moved", "not here") and not is_adopted:
            raise PromotionError(found.text, fix=found.fix)
        return pointed

    def decide(self, document: Document, line: Line, pointed: str | None) -> Decision:
        """Commits a decision and carries it out. Raises PromotionError, with all of it taken back, if overtaken."""
        before, fresh = self.evidence.history.git.head(), self.line(line.model)
        if fresh.last != line.last or self.standing(fresh)[1] != pointed:
            raise PromotionError("another decision was made meanwhile. Ask again.")
        decision = commit(self.root, document)
        try:
            carry_out(self.evidence.store, decision, expected={pointed})
        except OvertakenError as error:
            take_back(self.root, decision.path, before)
            if document.version is not None:
                tag_as_before(self.evidence.store, line, document.version.number)
            raise PromotionError(f"{error} Nothing was decided here. `git pull`, then ask again.") from error
        return decision

    def document(
        self,
        line: Line,
        kind: Literal["promote", "demote"],
        version: Version | None,
        answers: dict[str, Answer],
        accepted: list[Accepted],
        reason: str = "",
    ) -> Document:
        """The next decision."""
        folder = self.root / "lineage"
        framework = (folder / "VERSION").read_text(encoding="utf-8").strip()
        sums = hash_file(folder / "SHA256SUMS", "SHA256SUMS").sha256
        return Document(
            project_id=self.settings.project_id,
            model=line.model,
            alias=self.alias,
            number=len(line.decisions) + 1,
            previous=line.last.sha256 if line.last else None,
            kind=kind,
            version=version,
            before=line.now,
            by=printable(str(self.evidence.history.git.identity()))[:LONGEST_TEXT],
            at=datetime.now(UTC).replace(microsecond=0),
            reason=reason,
            gates=[answer.of(name) for name, answer in answers.items()],
            accepted=accepted,
            asked=self.asked,
            framework=f"{framework} ({sums})",
        )

    def tidy(self, *, dry_run: bool) -> None:
        """Takes away what a killed command left in no commit."""
        for path in () if dry_run else tidy(self.root, self.evidence.history):
            self.notes.append(f"{path} was in no commit, so it decided nothing: moved to .dvc/tmp/promotions.")
