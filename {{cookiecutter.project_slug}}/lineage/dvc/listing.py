"""DVC's object for a folder, read: the files that it lists, by path and hash."""

from __future__ import annotations

import re

from ..base.errors import DamageError
from ..base.strict_json import parse

MD5 = re.compile(r"[0-9a-f]{32}")


def parse_listing(data: bytes, md5: str) -> dict[str, str]:
    """The files that DVC's object for a folder lists: MD5 by path.

    Raises DamageError if it is none, or names what no folder can hold: whoever can write to a remote can write it.
    """
    try:
        entries = parse(data)
    except ValueError as error:
        raise DamageError(f"the listing {md5} cannot be read: {error}.") from None
    if not isinstance(entries, list) or not all(_is_entry(entry) for entry in entries):
        raise DamageError(f"the listing {md5} is not one of DVC's.")
    files = {entry["relpath"]: entry["md5"] for entry in entries}
    if len(files) < len(entries):
        raise DamageError(f"the listing {md5} names a file twice.")
    folders: set[str] = set()
    for name in files:
        parts = name.split("/")
        if "\0" in name or any(part in {"", ".", ".."} for part in parts):
            raise DamageError(f"the listing {md5} names {name!r}, which lies outside of its folder.")
        folder = name.rpartition("/")[0]
        while folder and folder not in folders:
            folders.add(folder)
            folder = folder.rpartition("/")[0]
    if both := folders & files.keys():
        raise DamageError(f"the listing {md5} names {min(both)!r} as a file and as a folder.")
    return files


def _is_entry(entry: object) -> bool:
    if not isinstance(entry, dict) or not isinstance(entry.get("relpath"), str):
        return False
    return isinstance(entry.get("md5"), str) and MD5.fullmatch(entry["md5"]) is not None
