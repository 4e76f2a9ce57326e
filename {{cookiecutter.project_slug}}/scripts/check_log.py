"""Checks the transparency log with nothing but Python: no network, no packages, no repository.

    python check_log.py log/entries.jsonl [HEAD...]     the log: each HEAD that you kept is a beginning of it
    python check_log.py PROOF.json OLD [NEW]            a proof of `lineage log prove`: NEW begins with OLD

A HEAD is what `lineage log` prints: the number of entries, a colon, and the root. Take OLD and NEW from where you kept
them: a proof that names its own heads proves nothing about yours.

What it cannot know is whether everything is in the log that should be: who has the repository asks `lineage log check`.
Exit status: 0 all holds, 1 something does not, 2 it cannot be read.

Written without a line of the project's own code, so that both have to agree. The tree is that of RFC 6962, section 2.1.
"""

import hashlib
import json
import re
import sys
from pathlib import Path

HEAD = re.compile(r"(0|[1-9]\d{0,8}):([0-9a-f]{64})")
NODE = re.compile(r"[0-9a-f]{64}")
SIZE = 64 << 20  # bytes, at most


class RefusedError(Exception):
    """Something does not hold."""


class UnreadableError(Exception):
    """It is no log, no proof or no head."""


def require(holds, why):
    if not holds:
        raise RefusedError(why)


def read_head(text):
    found = HEAD.fullmatch(text)
    if not found:
        raise UnreadableError(f"{text[:80]!r} is no head")
    return int(found[1]), found[2]


def sha256(data):
    return hashlib.sha256(data).digest()


def root_of(entries):
    """Level by level; a node without a sibling goes up as it is, which gives the tree of RFC 6962."""
    level = [sha256(b"\x00" + entry) for entry in entries] or [sha256(b"")]
    while len(level) > 1:
        pairs = [sha256(b"\x01" + level[at] + level[at + 1]) for at in range(0, len(level) - 1, 2)]
        level = pairs + level[len(pairs) * 2 :]
    return level[0].hex()


def check_log(data, heads):
    if data and not data.endswith(b"\n"):
        raise UnreadableError("its last line is not whole")
    entries = data.split(b"\n")[:-1]
    for number, entry in enumerate(entries, start=1):
        try:
            is_entry = NODE.fullmatch(str(json.loads(entry)["sha256"]))
        except (ValueError, TypeError, KeyError):
            is_entry = None
        if not is_entry:
            raise UnreadableError(f"line {number} is no entry")
    for size, root in heads:
        require(size <= len(entries), f"it has {len(entries)} entries, and a head that you kept has {size}: it was cut")
        require(root_of(entries[:size]) == root, f"its first {size} entries are not those of the head that you kept")
    return [
        f"{len(entries)} entries, head {len(entries)}:{root_of(entries)}",
        f"{len(heads)} of {len(heads)} heads hold",
    ]


def check_proof(document, old, new):
    """RFC 9162, section 2.1.4.2."""
    (old_size, old_root), (new_size, new_root) = old, new
    require(document.get("old") == f"{old_size}:{old_root}", "it is about another old head than yours")
    require(document.get("new") == f"{new_size}:{new_root}", "it is about another new head than yours")
    require(old_size <= new_size, "the new log is shorter than the old one")
    path = document.get("proof")
    if not isinstance(path, list) or not all(isinstance(node, str) and NODE.fullmatch(node) for node in path):
        raise UnreadableError("its proof is no list of hashes")
    path = [bytes.fromhex(node) for node in path]
    if old_size in (0, new_size):
        expected = sha256(b"").hex() if old_size == 0 else new_root
        require(old_root == expected and not path, "the heads are not those of one log")
    else:
        climb(path, old_size, bytes.fromhex(old_root), new_size, bytes.fromhex(new_root))
    return [f"the log of {new_size} entries begins with the {old_size} of the old head"]


def climb(path, old_size, old_root, new_size, new_root):
    place, last = old_size - 1, new_size - 1
    while place & 1:
        place, last = place >> 1, last >> 1
    # where the old size is a power of two, its root is a node of the new tree, and is not repeated
    before = after = old_root if place == 0 else (path.pop(0) if path else None)
    require(before is not None, "the proof is too short")
    for node in path:
        require(last > 0, "the proof is too long")
        if place & 1 or place == last:
            before, after = sha256(b"\x01" + node + before), sha256(b"\x01" + node + after)
            while place and not place & 1:
                place, last = place >> 1, last >> 1
        else:
            after = sha256(b"\x01" + after + node)
        place, last = place >> 1, last >> 1
    require(last == 0, "the proof is too short")
    require(before == old_root, "the proof does not lead to the old head")
    require(after == new_root, "the proof does not lead to the new head: the log was rewritten, or this is a fork")


def check(path, heads):
    if path.stat().st_size > SIZE:
        raise UnreadableError(f"it is larger than {SIZE} bytes")
    data, kept = path.read_bytes(), [read_head(text) for text in heads]
    try:
        document = json.loads(data)
    except ValueError:
        document = None
    if not isinstance(document, dict) or "proof" not in document:
        return check_log(data, kept)
    if not 1 <= len(kept) <= 2:
        raise UnreadableError("name the old head that you kept, and the new one")
    return check_proof(document, kept[0], kept[1] if len(kept) > 1 else read_head(str(document.get("new"))))


def main():
    if len(sys.argv) < 2:
        sys.exit("usage: python check_log.py FILE [HEAD...]")
    sys.stdout.reconfigure(errors="backslashreplace")
    sys.stderr.reconfigure(errors="backslashreplace")
    try:
        said = check(Path(sys.argv[1]), sys.argv[2:])
    except (UnreadableError, OSError) as error:
        print(f"{ascii(sys.argv[1])[1:-1]} cannot be read: {error}.", file=sys.stderr)
        sys.exit(2)
    except RefusedError as error:
        print(f"REFUSED: {error}.")
        sys.exit(1)
    for sentence in said:
        print(f"  {sentence}")
    print("HOLDS." if len(sys.argv) > 2 else "READ: without a head that you kept, nothing before now is proved.")
    print("NOT CHECKED: whether all that belongs into it is in it. Who has the repository asks `lineage log check`.")


if __name__ == "__main__":
    main()
