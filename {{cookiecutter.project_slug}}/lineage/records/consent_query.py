"""What the query of a consent registry may be: one SELECT. It reads; it opens, writes and sets nothing."""

from __future__ import annotations

import re
import sqlite3

from ..base.errors import RegistryError

# In the order in which SQL is read: what is quoted or a remark hides the characters in it. [ ] hide nothing here; where
# they do in a database, the query is refused rather than misread.
_TOKEN = re.compile(
    r"""(?P<text>'(?:[^']|'')*') | (?P<name>"(?:[^"]|"")*" | `(?:[^`]|``)*`)
    | (?P<remark>--[^\n]* | /\*.*?\*/) | (?P<word>[^\W\d]\w*) | (?P<dollar>\$\w*\$)
    | (?P<end>;) | (?P<open>['"`] | /\*) | (?P<other>\s+|.)""",
    re.VERBOSE | re.DOTALL,
)
_STARTS = ("SELECT", "WITH", "VALUES")
# no clause of a SELECT that reads; SELECT ... INTO makes a table or a file
_ACTS = re.compile(
    "ALTER|ANALYZE|ATTACH|BEGIN|CALL|CHECKPOINT|COMMIT|COPY|CREATE|DELETE|DETACH|DO|DROP|EXEC|EXECUTE|EXPLAIN|EXPORT|GRANT|"
    "HANDLER|IMPORT|INSERT|INSTALL|INTO|LISTEN|LOAD|LOCK|MERGE|NOTIFY|OUTFILE|PRAGMA|PREPARE|REINDEX|RENAME|REVOKE|"
    "ROLLBACK|SAVEPOINT|SET|TRUNCATE|UPDATE|VACUUM",
    re.IGNORECASE,
)
# functions that read other files, write them, or ask another server, by the names that databases give them
_REACHES = re.compile(
    r"(pg_read_\w+|pg_ls_\w+|pg_stat_file|pg_file_\w+|lo_(im|ex)port|dblink\w*|set_config|load_extension|load_file|readfile"
    r"|writefile|read_(csv|csv_auto|parquet|json|json_auto|ndjson|text|blob)|parquet_scan|glob|sniff_csv|opendatasource"
    r"|openrowset|xp_\w+|query_to_xml\w*|url|s3|file|remote\w*)",
    re.IGNORECASE,
)
# what a SELECT does in SQLite, by the codes of its authorizer
_READS = (sqlite3.SQLITE_SELECT, sqlite3.SQLITE_READ, sqlite3.SQLITE_FUNCTION, sqlite3.SQLITE_RECURSIVE)


def check_query(query: str) -> None:
    """Raises RegistryError unless `query` is one statement that reads."""
    if fault := _fault(query):
        raise RegistryError(
            f"privacy.registry.query {fault}. It must be one SELECT that reads the registry; put anything else into a "
            "view of the database."
        )


def _fault(query: str) -> str | None:
    found = [(str(token.lastgroup), token[0]) for token in _TOKEN.finditer(query)]
    if any(kind == "open" for kind, _ in found):
        return "has an unclosed quote or comment"
    for kind, text in found:
        if _is_ambiguous(kind, text):
            return f"has {text[:40]!r}, which databases read in different ways"
        if kind == "remark" and text.startswith("--") and text[2:3].strip():
            return f"has {text[:40]!r}: a comment needs a space after --"
    said = [(kind, text) for kind, text in found if kind != "remark" and text.strip()]
    while said and said[-1][0] == "end":
        said.pop()
    if any(kind == "end" for kind, _ in said):
        return "has several statements"
    first = next((text for _, text in said if text != "("), "")
    if first.upper() not in _STARTS:
        return f"begins with {first[:40]!r}" if first else "is empty"
    return _act(said)


def _is_ambiguous(kind: str, text: str) -> bool:
    """Whether some database sees other words: it takes \\' for a quote, knows remarks in remarks, obeys /*! ... */."""
    if kind == "remark":
        return text.startswith(("/*!", "/*+", "/*M!")) or (text.startswith("/*") and "/*" in text[2:])
    return kind == "dollar" or (kind in ("text", "name") and re.search(r"\\['\"`]", text) is not None)


def _act(said: list[tuple[str, str]]) -> str | None:
    for (kind, text), (_, following) in zip(said, [*said[1:], ("", "")], strict=True):
        if kind == "word" and _ACTS.fullmatch(text):
            return f"has the word {text} (write it in quotes if it is a name)"
        if kind in ("word", "name") and following == "(" and _REACHES.fullmatch(text.strip('"`')):
            return f"calls {text}, which can reach beyond the database"
    return None


def allow_reading_only(connection: sqlite3.Connection) -> None:
    """Makes SQLite refuse whatever is more than reading its own file: ATTACH, PRAGMA, VACUUM INTO, temporary tables."""

    def allow(action: int, _first: str | None, second: str | None, *_: str | None) -> int:
        is_loading = action == sqlite3.SQLITE_FUNCTION and (second or "").lower() == "load_extension"
        return sqlite3.SQLITE_OK if action in _READS and not is_loading else sqlite3.SQLITE_DENY

    connection.set_authorizer(allow)
