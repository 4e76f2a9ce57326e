"""The chain of this project's versions in SageMaker's ML Lineage: copied there, and asked there."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from ..base.errors import MirrorError, ProjectError
from ..compute.sagemaker.aws import Aws
from ..compute.sagemaker.lineage_sources import of_commit, of_object
from ..contract import Role
from ..dvc.hashes import NAME
from ..proof.case import Evidence, ModelCase
from ..proof.targets import VERSION
from ..settings.params import Settings
from .chain import Chain, Edge, remote_of
from .graph import Graph, Synced, Vertex


@dataclass
class Copied:
    """What became of it."""

    versions: list[str]
    left_out: dict[str, str]  # why, by version
    entities: int
    made: list[str]
    associations: int
    new_associations: int


@dataclass
class Answer:
    """What led to something, and what came of it."""

    asked: str
    source: str
    arn: str
    led_to_it: list[Vertex] = field(default_factory=list)
    came_of_it: list[Vertex] = field(default_factory=list)


def graph_of(settings: Settings) -> Graph:
    """The ML Lineage of compute.sagemaker."""
    return Graph(Aws.of(settings))


def copy(graph: Graph, cases: Iterable[ModelCase], *, dry_run: bool = False) -> Copied:
    """Makes what is missing of the chains of these versions. Those that no commit holds are left out, and named."""
    edges, named, left_out = list[Edge](), list[str](), dict[str, str]()
    for case in cases:
        remote = remote_of(case)
        try:
            edges += Chain(case, remote).edges
            named.append(case.title)
        except ProjectError as error:
            left_out[case.title] = str(error)
    done: Synced = graph.sync(edges, dry_run=dry_run)
    return Copied(named, left_out, len(done.nodes), done.made, done.edges, done.new_edges)


def ask(evidence: Evidence, graph: Graph, what: str) -> Answer:
    """What SageMaker says of a version, a hash of DVC's, or a commit. Raises MirrorError if it knows none of that."""
    source = _source(evidence, what)
    found = graph.artifact(source)
    if found is None:
        raise MirrorError(
            f"SageMaker's ML Lineage has nothing of {source}.", fix="lineage aws ml-lineage sync copies the chain there"
        )
    arn = str(found["ArtifactArn"])
    return Answer(
        what,
        source,
        arn,
        led_to_it=graph.reached(arn, "Ascendants"),
        came_of_it=graph.reached(arn, "Descendants"),
    )


def _source(evidence: Evidence, what: str) -> str:
    from ..judgement.judge import version_named

    remote = remote_of(ModelCase(evidence, None))
    if VERSION.fullmatch(what):
        md5 = version_named(evidence, what).recorded.md5(Role.MODEL)
        return of_object(remote, str(md5))
    if NAME.fullmatch(what):
        return of_object(remote, what)
    commit = evidence.history.resolve(what)
    if commit is None:
        raise MirrorError(f"{what} is no version (models:/NAME/NUMBER), no MD5 of DVC's and no revision of Git here.")
    return of_commit(evidence.history.git.url(), commit)
