"""The dataset versions that certificates name: of those in Git, whatever they are called there, and of those shown.

A certificate names people, so most are kept outside of Git. Of one that nobody shows nothing is known here, but where
the log has its digest: then it is known that there is one, and not what it names.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from pathlib import Path

from ..audit.certificate_form import KIND, read
from ..base.errors import LineageError
from ..dvc.hashes import sha256_of_json
from ..evidence.log import PATH as LOG
from .git_names import GitNames, names_in

CERTIFIED = re.compile(rb'^\{"kind":"certified","sha256":"([0-9a-f]{64})"\}$', re.MULTILINE)  # as the log writes it
FILES = ("*.json", "*.html")  # a certificate, and the page of one


class Certificates:
    """What the certificates that can be read here name: `datasets`, each with the certificate.

    `unread` are the digests of the log whose certificates are not among them.
    """

    def __init__(self, git: GitNames, shown: Iterable[Path]) -> None:
        """Of a repository, and of files elsewhere. Raises LineageError if one of those is no certificate."""
        self.datasets: dict[str, str] = {}
        self._digests: set[str] = set()
        for path in shown:
            read(path)
            self._add(path.read_bytes(), str(path))
        for data, where in git.contents(FILES):
            self._add(data, where)
        logged = {name.decode() for data, _ in git.contents((LOG,)) for name in CERTIFIED.findall(data)}
        self.unread = sorted(logged - self._digests)

    def _add(self, data: bytes, where: str) -> None:
        """Of what can be a certificate every dataset version counts, whether the rest of it holds or not."""
        if KIND.encode() not in data:
            return
        for name in names_in(data):
            if name.endswith(".dir"):
                self.datasets.setdefault(name, f"the certificate {where}")
        try:
            document = json.loads(data)
            digest = document.pop("digest")
            if digest == sha256_of_json(document):
                self._digests.add(digest)
        except (ValueError, KeyError, TypeError, AttributeError):  # a page, or none
            return


def missing(digests: Iterable[str]) -> list[str]:
    """What to say of certificates that the log has and nobody shows."""
    return [
        f"the certificate with the digest {digest[:12]}, which the log has: nobody knows which dataset versions it "
        "names. `lineage gc --plan --certificate FILE` shows it"
        for digest in digests
    ]


def require(paths: Iterable[str]) -> list[Path]:
    """Where the certificates lie that are shown. Raises LineageError if one is not there."""
    found = [Path(path) for path in paths]
    for path in found:
        if not path.is_file():
            raise LineageError(f"{path} is not there, and what it names must stay: show it, or plan without it.")
    return found
