"""What looks like a secret, by its name or by what it holds: it must not leave this machine with the code.

Names: those that published lists of such files have in common (gitrob, shhgit, GitHub's and Heroku's lists of what not
to commit). Contents: the rules of detect-secrets, less those that guess by randomness, which hashes have as well.
Nothing is sent anywhere to find out whether a secret is a valid one.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from fnmatch import translate
from functools import cache
from pathlib import PurePosixPath
from typing import Any

# of files, in lower case
NAMES = (
    # environments, and what tools keep of passwords and tokens
    ".env", ".env.*", "*.env", ".envrc", ".netrc", "_netrc", ".pypirc", ".npmrc", ".git-credentials",
    ".gitcredentials", ".htpasswd", "htpasswd", ".pgpass", "pgpass.conf", ".my.cnf", ".mylogin.cnf", ".s3cfg",
    ".boto", ".passwd-s3fs", ".dockercfg", ".dockerconfigjson", ".databrickscfg", ".terraformrc", "terraform.rc",
    "rclone.conf", ".rclone.conf", "kaggle.json", "sftp-config.json", "filezilla.xml", "recentservers.xml",
    "accesstokens.json", "azureprofile.json", "msal_token_cache.*", "auth.json", ".esmtprc", ".msmtprc",
    ".fetchmailrc", "wallet.dat", "cookies.txt", "cookies.sqlite", "logins.json", "key3.db", "key4.db",
    ".vault-token", ".vault_pass*", "vault_pass*", "master.key",
    # credentials and secrets by that name
    "credentials", ".credentials", "credentials.ini", "credentials.y*ml", "credentials.toml", "credentials.txt",
    "credentials.xml", "credentials.db", "*credentials*.json", "*credentials*.csv", "aws_credentials",
    "aws-credentials", "client_secret*.json", "client-secret*.json", "service-account*.json",
    "service_account*.json", "serviceaccount*.json", "*-service-account*.json", "*_service_account*.json",
    "keyfile.json", "secret.json", "secret.y*ml", "secret.toml", "secret.txt", "secrets", "secrets.json",
    "secrets.y*ml", "secrets.toml", "secrets.ini", "secrets.txt", "*.secret", "*.secrets", "token", "token.json",
    "token.txt", "tokens.json", ".token", "*.token", "password", "password.txt", "passwords.*", "*_accesskeys.csv",
    "rootkey.csv", "accesskeys.csv", "kubeconfig", "*.kubeconfig", "kubeconfig.*", "*.tfstate", "*.tfstate.*",
    "*.tfvars", "key.json", "*-key.json", "*firebase-adminsdk*.json", "api_key", "api_key.txt", "apikey",
    "apikey.txt", ".api_key", ".apikey", "*_api_key", "*_api_key.txt", "hf_token*", "*_token", "*_token.txt",
    "*-token.txt", "oauth*.json", ".passwd", "passwd", "shadow", "wp-config.php", "private_key", "private_key.txt",
    "privkey*",
    # keys and stores of keys
    "*.pem", "*.key", "*.p12", "*.pfx", "*.pkcs12", "*.p8", "*.jks", "*.jceks", "*.bks", "*.keystore", "*.truststore",
    "*.ppk", "*.kdb", "*.kdbx", "*.psafe3", "*.agilekeychain", "*.keychain", "*.keychain-db", "*.kwallet", "*.ovpn",
    "*.keypair", "*.keytab", "secring.*", "id_rsa*", "id_dsa*", "id_ecdsa*", "id_ed25519*", "*_rsa", "*_dsa", "*_ecdsa",
    "*_ed25519", "ssh_host_*_key", "otr.private_key",
    # what was typed
    ".bash_history", ".zsh_history", ".sh_history", ".python_history", ".psql_history", ".mysql_history",
    ".sqlite_history", ".rediscli_history",
)  # fmt: skip
NAME = re.compile("|".join(map(translate, NAMES)))
FOLDERS = (".ssh", ".gnupg", ".aws", ".azure", ".kube", ".docker", ".gcloud", ".git")
PATHS = (".dvc/config.local", ".streamlit/secrets.toml", ".huggingface/token", ".cargo/credentials.toml")
EXAMPLES = (".example", ".sample", ".template", ".dist")  # .env.example, which is there to be shared
# what detect-secrets does not know
MORE = {
    "Private Key": re.compile(r"BEGIN [A-Z0-9 ]*PRIVATE KEY|PuTTY-User-Key-File-\d|AGE-SECRET-KEY-1[A-Z0-9]{8}"),
    "Google API key": re.compile(r"\bAIza[0-9A-Za-z_-]{35}\b"),
    "Hugging Face token": re.compile(r"\bhf_[A-Za-z]{34}\b"),
    "W&B key": re.compile(r"\bwandb_v\d_[A-Za-z0-9_-]{32,}|(?i:wandb_api_key|wandb login)\W{1,4}[0-9a-f]{40}\b"),
    "Anthropic or Databricks token": re.compile(r"\bsk-ant-[A-Za-z0-9_-]{20,}|\bdapi[0-9a-f]{32}\b"),
}
IN_AN_ADDRESS = "Basic Auth Credentials"
WITHOUT = ("IPPublicDetector",)  # an address is no secret
KEYWORDS = re.compile(r"pass|pwd|secret|key|token|contrase", re.IGNORECASE)
OWN_KEY = re.compile(r"\s*secret:\s")  # compute.sagemaker.secret is the name of one, which AWS keeps
PLACEHOLDERS = {"password", "passwd", "pass", "token", "secret", "none", "null", "true", "false", "changeme"}
DIGIT = re.compile(r"\d")
SHORTEST = 4  # characters of what counts
LONGEST = 20_000  # characters of a line that is searched for words, which takes time


@dataclass(frozen=True)
class Rules:
    """The rules of detect-secrets: patterns by kind of secret, and the one that goes by words."""

    patterns: dict[str, Any]
    words: Any


def is_secret(name: str) -> bool:
    """Whether the name of a file, with its path in the project, says that it holds secrets."""
    path = PurePosixPath(name.lower())
    if path.name.endswith(EXAMPLES):
        return False
    if any(part in FOLDERS for part in path.parts[:-1]) or any(f"/{path}".endswith(f"/{known}") for known in PATHS):
        return True
    return NAME.match(path.name) is not None


def secret_in(data: bytes, name: str) -> str | None:
    """Where in the content of a file, and what, looks like a secret; None if nothing does.

    A line that ends in the comment `pragma: allowlist secret` is left out, as detect-secrets does.
    """
    return next(_secrets(_text(data), name), None)


def _secrets(text: str, name: str) -> Iterator[str]:
    from detect_secrets.filters import heuristic

    rules = _rules()
    for kind, pattern in MORE.items():
        yield from _found(kind, pattern, text, name)
    for kind, plugin in rules.patterns.items():
        for pattern in plugin.denylist:
            yield from _found(kind, pattern, text, name, plugin)
    for number, line in enumerate(text.splitlines(), start=1):
        if KEYWORDS.search(line) and len(line) <= LONGEST and not OWN_KEY.match(line):
            values = {secret.secret_value or "" for secret in rules.words.analyze_line(name, line, number)}
            values = {value for value in values if DIGIT.search(value)}  # words are names of things
            if _counts(values, name, line) and not heuristic.is_indirect_reference(line):
                yield f"line {number}: {rules.words.secret_type}"


def _found(kind: str, pattern: re.Pattern[str], text: str, name: str, plugin: Any = None) -> Iterator[str]:
    for match in pattern.finditer(text):
        begin, end = text.rfind("\n", 0, match.start()) + 1, text.find("\n", match.end())
        line = text[begin : end if end >= 0 else len(text)]
        # the plugin's own rules say what of a line counts, such as whether a token can be decoded
        values = set(plugin.analyze_string(line)) if plugin is not None else {match.group()}
        # the other patterns are of tokens: what they match is no place to fill one in
        counts = _counts(values, name, line) if kind == IN_AN_ADDRESS else values and not _is_allowed(name, line)
        if counts:
            yield f"line {text.count(chr(10), 0, begin) + 1}: {kind}"


def _counts(values: set[str], name: str, line: str) -> bool:
    return any(not _is_placeholder(value) for value in values) and not _is_allowed(name, line)


def _is_placeholder(value: str) -> bool:
    from detect_secrets.filters import heuristic

    return (
        len(value) < SHORTEST
        or value.strip("'\"").lower() in PLACEHOLDERS
        or heuristic.is_templated_secret(value)
        or heuristic.is_prefixed_with_dollar_sign(value)
        or heuristic.is_not_alphanumeric_string(value)
        or "{" in value  # part of it is filled in later
    )


def _is_allowed(name: str, line: str) -> bool:
    from detect_secrets.filters.allowlist import is_line_allowlisted
    from detect_secrets.util.code_snippet import get_code_snippet

    return bool(is_line_allowlisted(name, line, get_code_snippet([line], 1)))


@cache
def _rules() -> Rules:
    from detect_secrets.core.plugins.util import get_mapping_from_secret_type_to_class
    from detect_secrets.plugins.base import RegexBasedDetector
    from detect_secrets.plugins.keyword import KeywordDetector
    from detect_secrets.settings import get_settings

    # it asks services whether a secret is valid, unless this is off
    get_settings().disable_filters("detect_secrets.filters.common.is_ignored_due_to_verification_policies")
    classes: Any = get_mapping_from_secret_type_to_class().items()
    patterns = {
        kind: plugin()
        for kind, plugin in classes
        if issubclass(plugin, RegexBasedDetector) and plugin.__name__ not in WITHOUT
    }
    return Rules(patterns, KeywordDetector())


def _text(data: bytes) -> str:
    for mark, encoding in ((b"\xff\xfe", "utf-16"), (b"\xfe\xff", "utf-16"), (b"\xef\xbb\xbf", "utf-8-sig")):
        if data.startswith(mark):
            return data.decode(encoding, errors="replace")
    if data[1:64:2].count(0) > 16 or data[:64:2].count(0) > 16:  # two bytes a character, and no mark
        return data.replace(b"\0", b"").decode("utf-8", errors="replace")
    return data.decode("utf-8", errors="replace")
