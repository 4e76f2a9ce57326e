"""Brings the Model Registry to what Git says: a package for each version, approved as was decided. Twice is as once.

First what takes an approval away, then what gives one: killed in between, nobody is approved who should not be. What is
approved is the one package that the version's tag names, and only while it would serve what Git holds.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any
from uuid import uuid4

from ..base.errors import MirrorError, ProjectError
from ..compute.sagemaker.aws import Aws
from ..proof.case import Evidence, ModelCase
from ..proof.decisions import Line, registered, standing
from ..proof.trace import PACKAGE
from ..settings.params import Settings
from .approval import Approval, approval_of, line_of
from .entries import AS_DECIDED, SYNC, Entry, Mirrored, Pair, entry_of_others, wanted_of
from .group import Group, Package, group_name
from .package import FITS, Version


class Mirror:
    """The packages of one project's versions. Raises MirrorError where AWS, or the decisions, cannot be relied on."""

    def __init__(self, evidence: Evidence, settings: Settings) -> None:
        self.evidence, self.settings = evidence, settings
        self._aws = Aws.of(settings)
        section = self._aws.settings
        self._alias, self._model = section.registry.alias, settings.tracking.model_name
        name = group_name(settings, section)
        self.group = Group(self._aws, name, evidence.project_id, self._model)

    def versions(self) -> list[ModelCase]:
        """Every version of the registered model, oldest first."""
        found = [version for version in self.evidence.store.versions if version.name == self._model]
        return [ModelCase(self.evidence, version) for version in sorted(found, key=lambda each: int(each.version))]

    def sync(self, cases: Iterable[ModelCase], *, as_decided: bool = False, dry_run: bool = False) -> Mirrored:
        """Makes packages of these versions where they are missing, and brings the status of every one to the decisions.

        What somebody else has changed, and says otherwise, stays and is reported, unless `as_decided`. The version that
        has the alias is looked at whichever were asked for.
        """
        line, found = self._line(), Mirrored(self.group.name)
        pairs = self._pairs(list(cases), line, found)
        for pair in pairs:
            if pair.package is None and pair.version is not None:
                self._make(pair, dry_run=dry_run)
        for pair in pairs:
            approval = wanted_of(pair, line)
            pair.entry.wanted, pair.entry.why = approval.status, approval.text
        for pair in sorted(pairs, key=lambda each: each.entry.wanted == "Approved"):
            self._approve(pair, line, as_decided=as_decided, dry_run=dry_run)
        for pair in pairs:
            self._name_in_mlflow(pair, dry_run=dry_run)
        found.entries += [pair.entry for pair in pairs]
        return found

    def _line(self) -> Line:
        line, store = line_of(self.evidence, self.settings, self._alias), self.evidence.store
        pointers, tags = store.pointers(line.model)
        exists, is_same = registered(store, line)
        found = standing(line, pointers.get(line.alias), tags, exists=exists, is_same=is_same)
        # where nobody decided, nobody is approved, whoever has the alias
        if found.where != "as decided" and line.last is not None:
            raise MirrorError(f"{found.text} Until that is settled, no approval is changed.", fix=found.fix)
        return line

    def _pairs(self, cases: list[ModelCase], line: Line, found: Mirrored) -> list[Pair]:
        """Each version with its package, and every other package of this project. Those without a commit are faults."""
        packages = self.group.packages()
        left = [each for each in packages if each.metadata.get("project_id") == self.evidence.project_id]
        others = [each for each in packages if each not in left]
        found.others = len(others)
        found.entries += [entry_of_others(each) for each in others if each.status == "Approved"]
        pairs = []
        titles = {case.title for case in cases}
        number = line.now.number if line.now else ""
        with_alias = [case for case in self.versions() if case.version and str(case.version.version) == number]
        for case in [*cases, *(case for case in with_alias if case.title not in titles)]:
            entry = Entry(case.title)
            try:
                version = Version(case, self.settings)
                _ = version.known
            except ProjectError as error:  # no commit holds it yet, for example
                entry.fault = f"it has no package: {error}"
                found.entries.append(entry)
                continue
            mine = self._of(version, left)
            left = [each for each in left if each not in mine]
            entry.notes += [f"{each.arn} is a further package of it" for each in mine[1:]]
            pairs.append(Pair(entry, version, mine[0] if mine else None, is_asked=case.title in titles))
            pairs += [Pair(Entry(case.title), None, each, first=mine[0].arn) for each in mine[1:]]
        return pairs + [Pair(self._entry_of(each), None, each) for each in left]

    def _of(self, version: Version, packages: list[Package]) -> list[Package]:
        """The packages of a version: first the one that its tag names, else the first one that would serve it."""
        assert version.case.version is not None
        tagged = version.case.version.tags.get(PACKAGE)
        mine = [each for each in packages if version.is_of(each.metadata)]
        if len(mine) < 2:
            return mine
        return sorted(mine, key=lambda each: (each.arn != tagged, bool(version.unlike(each, self._aws))))

    def _entry_of(self, package: Package) -> Entry:
        """Of a package whose version was not asked for."""
        number, identity = package.metadata.get("mlflow_version"), package.metadata.get("model_identity")
        entry = Entry(f"models:/{package.metadata.get('mlflow_model')}/{number}")
        versions = [each for each in self.evidence.store.versions if each.name == self._model]
        if not any((str(v.version), v.tags.get("model_identity")) == (number, identity) for v in versions):
            entry.notes.append("MLflow has no such version any more")
        return entry

    def _make(self, pair: Pair, *, dry_run: bool) -> None:
        assert pair.version is not None
        if not pair.is_asked:
            pair.entry.fault, pair.entry.fix = f"it is {self._alias} and has no package", SYNC
            return
        try:
            if dry_run:
                pair.entry.done.append("would be registered")
                return
            request = pair.version.request(self._aws)
            if not self.group.is_there:
                self.group.make()
            pair.package = self._created(request)
        except ProjectError as error:
            pair.entry.fault = f"it has no package: {error}"
            return
        if not pair.version.is_of(pair.package.metadata):
            raise MirrorError(f"{pair.package.arn} was made for {pair.entry.version} and says otherwise.")
        pair.entry.done.append("registered")
        if pair.version.left_out:
            pair.entry.notes.append(f"the registry does not take {', '.join(pair.version.left_out)} as metadata")

    def _created(self, request: dict[str, Any]) -> Package:
        arn = self.group.create(request)
        try:
            return self.group.look(arn)
        except MirrorError:  # AWS remembers the token of one that was made before, and deleted since
            return self.group.look(self.group.create({**request, "ClientToken": str(uuid4())}))

    def _approve(self, pair: Pair, line: Line, *, as_decided: bool, dry_run: bool) -> None:
        """Brings status and metadata to what they should be, in one call that changes both."""
        package, entry = pair.package, pair.entry
        if package is None:
            return
        entry.arn, entry.status = package.arn, package.status
        approval = wanted_of(pair, line)
        if pair.version is None and approval_of(line, *pair.key).status == "Approved" and not pair.first:
            entry.fault = "nobody can compare it with its version, so it is not approved, and stays as it is"
            return
        of_others = package.status != package.metadata.get("approval") or bool(pair.first)
        if of_others and package.status != approval.status and not as_decided:
            said = f"somebody has set it to {package.status} there ({package.description or 'without a reason'})"
            if pair.first:
                said = (
                    f"it is a further package of this version and {package.status}; {pair.first} is the one that counts"
                )
            if "Approved" in (package.status, approval.status):
                entry.fault = f"{said}, and it is to be {approval.status}: {approval.text}"
                entry.fix = AS_DECIDED
            else:
                entry.notes.append(said)
            return
        if not self._serves_its_version(pair, approval, as_decided=as_decided, dry_run=dry_run):
            return
        chain = pair.version.metadata if pair.version else {}
        wanted = {**chain, **{key: value for key, value in approval.metadata.items() if FITS.fullmatch(value)}}
        same = all(package.metadata.get(key) == value for key, value in wanted.items())
        if same and package.status == approval.status:
            return
        if package.status != approval.status:
            entry.done.append(f"{package.status} -> {approval.status}")
        else:
            entry.done.append("its metadata")
        if dry_run:
            return
        self.group.update(
            package.arn,
            ModelApprovalStatus=approval.status,
            ApprovalDescription=approval.text[:1024],
            CustomerMetadataProperties={**package.metadata, **wanted},
        )
        pair.package = self.group.look(package.arn)
        entry.status = pair.package.status
        if entry.status != approval.status:
            raise MirrorError(f"{package.arn} was set to {approval.status}, and is {entry.status}.")

    def _serves_its_version(self, pair: Pair, approval: Approval, *, as_decided: bool, dry_run: bool) -> bool:
        """Whether the status of a package may be set: approved is only what would serve what Git holds."""
        version, package, entry = pair.version, pair.package, pair.entry
        if version is None or package is None or not (unlike := version.unlike(package, self._aws)):
            return True
        if approval.status != "Approved" and not as_decided:
            entry.notes.append(f"it would serve otherwise than {entry.version} is to be: {unlike}")
            return True
        entry.fault = f"it would serve otherwise than {entry.version} is to be, and is to be Approved: {unlike}"
        entry.fix = AS_DECIDED
        if not as_decided:
            return False
        specification = version.specification(self._aws)
        entry.done.append(f"what it serves: {unlike}")
        if not dry_run:
            version.put_files(self._aws)
            self.group.update(package.arn, InferenceSpecification=specification)
            if unlike := version.unlike(self.group.look(package.arn), self._aws):
                entry.fault = f"it goes on serving otherwise than {entry.version} is to be: {unlike}"
                entry.fix = f"aws sagemaker delete-model-package --model-package-name {package.arn} && {SYNC}"
                return False
        entry.fault = entry.fix = ""
        return True

    def _name_in_mlflow(self, pair: Pair, *, dry_run: bool) -> None:
        """The version's tag names its package."""
        if pair.version is None or pair.package is None:
            return
        version, arn = pair.version.case.version, pair.package.arn
        assert version is not None
        if version.tags.get(PACKAGE) == arn:
            return
        pair.entry.done.append(f"its tag {PACKAGE} in MLflow")
        if not dry_run:
            store = self.evidence.store
            with store.asked(f"set the tag {PACKAGE} of {pair.entry.version}"):
                store.client.set_model_version_tag(version.name, str(version.version), PACKAGE, arn)
