"""The commands `lineage keys ...`: whose signatures count. They write a file, for a person to commit."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ..base.errors import ProjectError
from ..base.project import project_root

if TYPE_CHECKING:
    from ..signing.trust import State, Trust, Trusted

app = typer.Typer(
    help="Whose signatures of attestations count.",
    no_args_is_help=True,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"]},
)

BEGINNING = re.compile("[0-9a-f]{1,64}")  # of an id; a file of such a name is ./NAME
Key = Annotated[str, typer.Argument(metavar="ID", help="The beginning of its id, as `lineage keys list` shows it.")]


@app.command()
def add(
    file: Annotated[
        Path, typer.Argument(metavar="FILE", help="A public key, or the certificate of an authority: PEM.")
    ],
    reason: Annotated[str, typer.Option("--reason", help="Whose it is, and since when.")] = "",
) -> None:
    """Trust a key, or every certificate that an authority issues."""
    signer = _read(file, reason)
    trust = _trust()
    if (found := trust.find(signer.id)) is not None:
        raise ProjectError(f"{signer.id[:12]} is there already, {found.state}. What was retired or revoked stays so.")
    ids = {signer.id, _key_of(signer, reason).id if signer.kind == "authority" else signer.id}
    if lost := next((one for one in trust.signers if one.is_one_of(ids) and one.state != "active"), None):
        raise ProjectError(
            f"it is about the same key as {lost.kind} {lost.id[:12]}, which was {lost.state}. Name another."
        )
    _write(trust.with_(signer), signer)


@app.command()
def retire(key: Key, reason: Annotated[str, typer.Option("--reason", help="Why, and which key replaces it.")]) -> None:
    """Take a key out of use that nobody else has: what it has signed by now goes on to count."""
    _change(key, "retired", reason)


@app.command()
def revoke(
    key: Annotated[
        str,
        typer.Argument(metavar="KEY", help="The beginning of its id; or the file of a public key or a certificate."),
    ],
    reason: Annotated[str, typer.Option("--reason", help="Why: who may have it.")],
) -> None:
    """Say that a key may be in other hands: nothing that it ever signed counts, with whatever certificate.

    Of a certificate that is not in the list, its key is revoked: that of the signer, or of an authority between.
    """
    if BEGINNING.fullmatch(key):
        _change(key, "revoked", reason)
        return
    given, trust = _read(Path(key), reason), _trust()
    if trust.find(given.id) is None and given.kind == "authority":
        given = _key_of(given, reason)
    if trust.find(given.id) is not None:
        _change(given.id, "revoked", reason)
        return
    signer = given.model_copy(update={"state": "revoked"})
    _write(trust.with_(signer), signer)


@app.command("list")
def list_() -> None:
    """Show every key and authority, and what became of it."""
    signers = _trust().signers
    for one in signers:
        print(f"{one.id[:16]}  {one.kind:<9}  {one.state:<7}  {one.reason}")
    if not signers:
        print("nobody is trusted yet: `lineage keys add FILE`")


def _trust() -> Trust:
    from ..signing.trust import TRUST, parse_trust

    path = project_root() / TRUST
    return parse_trust(path.read_bytes() if path.exists() else None)


def _read(file: Path, reason: str) -> Trusted:
    from ..signing.authority import fingerprint
    from ..signing.bundle import certificates, id_of, pem_of, public_key
    from ..signing.trust import Trusted

    try:
        data = file.read_bytes()
    except OSError as error:
        raise ProjectError(f"{file} cannot be read: {error.strerror}.") from None
    if b"PRIVATE KEY" in data:
        raise ProjectError(f"{file} holds a private key, which belongs in no repository. Name the public one.")
    if b"BEGIN CERTIFICATE" in data:
        from cryptography.hazmat.primitives.serialization import Encoding

        (certificate, *more) = certificates(file)
        if more:
            raise ProjectError(f"{file} holds several certificates. Name a file with one.")
        pem = certificate.public_bytes(Encoding.PEM).decode()
        return Trusted(id=fingerprint(certificate), kind="authority", pem=pem, reason=reason)
    try:
        key = public_key(data)
    except ProjectError as error:
        raise ProjectError(f"{file}: {error}") from None
    return Trusted(id=id_of(key), kind="key", pem=pem_of(key), reason=reason)


def _key_of(authority: Trusted, reason: str) -> Trusted:
    """The key of a certificate."""
    from ..signing.authority import key_id
    from ..signing.bundle import pem_of
    from ..signing.trust import Trusted

    certificate = authority.certificate
    pem = pem_of(certificate.public_key())  # type: ignore[arg-type]  # of an authority it may be an RSA key
    return Trusted(id=key_id(certificate), kind="key", pem=pem, reason=reason)


def _change(beginning: str, state: State, reason: str) -> None:
    trust = _trust()
    found = trust.named(beginning)
    if found.state == "revoked" or found.state == state:
        raise ProjectError(f"{found.id[:12]} is {found.state} already.")
    signer = found.model_copy(update={"state": state, "reason": reason})
    _write(trust.with_(signer), signer)


def _write(trust: Trust, signer: Trusted) -> None:
    from ..base.pages import write_whole
    from ..signing.trust import TRUST, parse_trust

    text = trust.to_json()
    parse_trust(text.encode())  # a reason that cannot be shown is refused before it is written
    path = project_root() / TRUST
    path.parent.mkdir(exist_ok=True)
    write_whole(path, text)
    print(f"{signer.id}  {signer.kind}  {signer.state}")
    print(f"written: {TRUST}. It counts once committed: git add {TRUST} && git commit")
