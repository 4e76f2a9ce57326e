"""Which files were looked through for secrets before, so that a dispatch searches only those that are new."""

from __future__ import annotations

import hashlib
import json
from importlib.metadata import version
from pathlib import Path

from ..base.hash_cache import keep_json, signature
from . import confidential

# change when a rule does: ours, as it was just imported, or one of detect-secrets
RULES = (hashlib.sha256(Path(confidential.__file__).read_bytes()).hexdigest(), version("detect-secrets"))


class Examined:
    """Files without a secret, kept in `file`, which may be deleted: each by its name, its content and the rules.

    The notes are signed with a key of the user, as those of hashes are (base/hash_cache.py).
    """

    def __init__(self, file: Path) -> None:
        self._file = file
        try:
            self._kept = frozenset(map(str, json.loads(file.read_text(encoding="utf-8"))))
        except (OSError, ValueError, TypeError):
            self._kept = frozenset()
        self._asked: set[str] = set()

    def secret_in(self, path: Path, name: str) -> str | None:
        """As confidential.secret_in, of the bytes of a file."""
        data = path.read_bytes()
        note = signature("no secret", *RULES, name, hashlib.sha256(data).hexdigest())
        if note not in self._kept and (found := confidential.secret_in(data, name)):
            return found
        self._asked.add(note)
        return None

    def save(self) -> None:
        """Keeps what was asked for. Where nothing can be written, the next one searches again."""
        if self._asked == self._kept:
            return
        keep_json(self._file, sorted(self._asked))
