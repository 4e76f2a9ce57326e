"""The commands that hand evidence to others."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from ..base.errors import ProjectError
from ..base.project import project_root
from .standards import Standard

NOT_TRUSTED = (
    "note: attestations/trust.json of HEAD names neither this key nor its authority, so `lineage verify` will say "
    "INCONCLUSIVE. `lineage keys add` it, and commit."
)
BY_SIGSTORE = (
    "note: `lineage verify` does not check what Sigstore signed, and will say INCONCLUSIVE: `model_signing verify "
    "sigstore` checks it, with a network."
)


def export(
    what: Annotated[
        str, typer.Argument(metavar="X", help="A version: models:/NAME/3, models:/NAME@candidate, a revision.")
    ],
    standard: Annotated[Standard, typer.Option("--as", help="The standard in whose words it is written.")],
    to: Annotated[
        Path | None, typer.Option("--to", metavar="PATH", help="A file; for ro-crate a folder. Else it is printed.")
    ] = None,
    proved: Annotated[
        bool, typer.Option("--verify", help="Prove the chain first and write the verdict down; exit status as verify.")
    ] = False,
) -> None:
    """Write what is known of a model in the words of a standard. No id of a person leaves, nothing is sent.

    Exit status: 0, or with --verify that of verify.
    """
    from ..proof.case import Evidence
    from ..proof.targets import resolve
    from ..proof.verify import exit_code, verify
    from .export import export as exported_as
    from .export import facts_of_case, write

    is_folder = standard is Standard.ro_crate
    if is_folder and to is None:
        raise typer.BadParameter("an RO-Crate is a folder: give --to FOLDER")
    evidence = Evidence(project_root(), shared=True)
    cases = resolve(evidence, what).cases
    if len(cases) != 1:
        raise ProjectError(f"{what} leads to {len(cases)} models. Name one version.")
    verdict = verify(cases[0]) if proved else None
    facts, search, unchecked = facts_of_case(cases[0], verdict)
    exported = exported_as(facts, standard, search, unchecked, as_page=to is not None and to.suffix == ".html")
    if unchecked:
        print(
            f"warning: it was not searched for ids, because the dataset version cannot be read: {unchecked}",
            file=sys.stderr,
        )
    if to is None:
        (text,) = exported.files.values()
        print(text, end="")
    else:
        for path in write(exported, to, is_folder=is_folder):
            print(f"written: {path}")
    if verdict is not None:
        print(f"{verdict.model}  {verdict.state}  {verdict.sentence}", file=sys.stderr)
        sys.exit(exit_code([verdict]))


def attest(
    what: Annotated[str, typer.Argument(metavar="X", help="A version: models:/NAME/3, models:/NAME@candidate.")],
    key: Annotated[
        Path | None, typer.Option("--key", metavar="FILE", help="The private key, in PEM, on P-256, P-384 or P-521.")
    ] = None,
    certificate: Annotated[
        Path | None, typer.Option("--certificate", metavar="FILE", help="The certificate of that key, in PEM.")
    ] = None,
    chain: Annotated[
        list[Path] | None, typer.Option("--chain", metavar="FILE", help="Certificates above it, up to the authority's.")
    ] = None,
    sigstore: Annotated[
        bool, typer.Option("--sigstore", help="In place of a key: its public log keeps who signed, and which hashes.")
    ] = False,
) -> None:
    """Prove a version, then sign how it was made, what was found, and its files. Exit status: that of verify."""
    from ..proof.case import Evidence
    from ..proof.targets import resolve
    from ..proof.verify import exit_code, verify
    from .attest import attest as sign_all
    from .attest import read_key, trust_of
    from .keyless import identify
    from .optional import need

    root = project_root()
    if sigstore == (key is not None):
        raise typer.BadParameter("who signs? Give --key FILE or --sigstore")
    if (chain and certificate is None) or (certificate and key is None):
        raise typer.BadParameter("--chain leads from --certificate to its authority, and that is about --key")
    signing = read_key(key, certificate, chain or []) if key else None
    evidence = Evidence(root, shared=True)
    is_trusted = signing is not None and trust_of(evidence.history, signing)
    need("model_signing", "lineage attest")
    cases = resolve(evidence, what).cases
    if len(cases) != 1:
        raise ProjectError(f"{what} leads to {len(cases)} models. Name one version.")
    verdict = verify(cases[0], before_attesting=True)
    print(f"{verdict.model}  {verdict.state}  {verdict.sentence}")
    if verdict.state != "PASS":
        print(f"lineage: nothing was signed. {verdict.fix}".rstrip(), file=sys.stderr)
        sys.exit(exit_code([verdict]))
    written = [path.relative_to(root) for path in sign_all(cases[0], verdict, signing or identify())]
    for path in written:
        print(f"written: {path}")
    folder = written[0].parent
    named = f" The key's id is {signing.id[:16]}." if signing else ""
    print(f"They count once committed: git add {folder} && git commit.{named}")
    if not is_trusted:
        print(NOT_TRUSTED if signing else BY_SIGSTORE, file=sys.stderr)
