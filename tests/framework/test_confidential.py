"""The pieces of secrets are put together here, so that no file of the project holds one."""

from __future__ import annotations

import pytest

from lineage.compute.confidential import is_secret, secret_in

NAMES = [
    ".env", ".envrc", "key.json", "gcp-key.json", "x-firebase-adminsdk-1.json", "api_key.txt", "hf_token",
    "a/.env.local", "prod.env", ".dvc/config.local", "keys/server.pem", "Server.PEM", "tls.key",
    "store.p12", "store.pfx", "AuthKey.p8", "app.jks", "release.keystore", "putty.ppk", "credentials",
    ".aws/credentials", ".aws/config", "credentials.json", "credentials.csv", "gcp-credentials.json", ".netrc",
    "_netrc", ".pypirc", ".npmrc", ".git-credentials", ".htpasswd", ".pgpass", ".my.cnf", ".s3cfg", ".boto",
    ".dockercfg", ".docker/config.json", "kubeconfig", ".kube/config", "service-account.json",
    "my_service_account_prod.json", "client_secret_1.json", "secrets.yaml", "secrets.yml", "secrets.toml",
    "secret.json", ".streamlit/secrets.toml", "terraform.tfstate", "terraform.tfstate.backup", "prod.tfvars",
    "id_rsa", "id_rsa.old", "id_ed25519.pub", "deploy_rsa", ".ssh/config", ".gnupg/pubring.kbx", "vault.kdbx",
    "client.ovpn", ".vault-token", ".bash_history", "krb5.keytab", "kaggle.json", "rclone.conf", "token.json",
    "passwords.txt", "wallet.dat", "master.key", "ssh_host_ed25519_key", "application_default_credentials.json",
]  # fmt: skip
NONE = [
    "environment.py", "conf/train/default.yaml", "id_columns.py", ".dvc/config", "keys.py", "tokenizer.json",
    "secrets.py", ".env.example", "credentials.py", "docs/credentials.md", ".github/workflows/ci.yml",
    "keyboard.txt", "monkey.csv", "requirements.lock", "data.json", "env.yaml",
]  # fmt: skip


@pytest.mark.parametrize("name", NAMES)
def test_a_secret_is_known_by_its_name(name: str) -> None:
    assert is_secret(name)


@pytest.mark.parametrize("name", NONE)
def test_what_is_no_secret(name: str) -> None:
    assert not is_secret(name)


def pem(kind: str) -> str:
    return f"-----BEGIN {kind}-----\nMIIEvQIBADANBgkqhkiG9w0BAQEFAASC\n-----END {kind}-----\n"


KEY = "PRIVATE" + " KEY"
HOLDING = {
    "a key of OpenSSH": pem(f"OPENSSH {KEY}"),
    "a key with a password": pem(f"ENCRYPTED {KEY}"),
    "a key in JSON": '{"type": "service_account", "private' + '_key": "' + pem(KEY).replace("\n", "\\n") + '"}',
    "a key of PuTTY": "PuTTY-User-" + "Key-File-3: ssh-ed25519\n",
    "AWS": "[default]\naws_access_key_id = AKIA" + "QYLPMN5HHHFPZAM2\n",
    "GitHub": "TOKEN=ghp" + "_wWPw5k4aXcaT4fNP0UcnZwJUVFk6LO0pINUx\n",
    "GitLab": "token: glpat" + "-wxyzABCD1234efgh5678\n",
    "Slack": "xox" + "b-34532454-3sdfsdfsdfsdfsdf\n",
    "a password in an address": "postgresql://ann:" + "Tr0ub4dor" + "@db/consent\n",
    "a password in YAML": "pass" + 'word: "Tr0ub4dor&3"\n',
    "a password in Python": "db_pass" + 'word = "Tr0ub4dor&3"\n',
    "W&B": "wandb" + "_v1_" + "b1c2D3e4" * 9 + "\n",
    "W&B's older kind": "WANDB_API_" + "KEY=" + "0b1c2d3e" * 5 + "\n",
    "Google": "AIza" + "SyA" + "b1c2D3e4" * 4 + "\n",
}


@pytest.mark.parametrize("text", HOLDING.values(), ids=HOLDING.keys())
@pytest.mark.parametrize("encoding", ["utf-8", "utf-16", "utf-16-le"])
def test_a_secret_is_known_by_what_it_is(text: str, encoding: str) -> None:
    data = f"first line\n{text}".encode(encoding)
    assert (secret_in(data, "notes.txt") or "").startswith("line ")


HARMLESS = {
    "hashes": '{"md5": "d41d8cd98f00b204e9800998ecf8427e", "sha256": "' + "ab" * 32 + '"}',
    "a lock": "numpy==2.0 \\\n    --hash=sha256:" + "0f" * 32,
    "the name of a secret": "compute:\n  sagemaker:\n    secret: team/mlflow-token\n",
    "a place to fill in": "url: postgresql://{user}:{password}@host/db\npassword: ${oc.env:PASSWORD}\n",
    "words": 'password = "of the registry"\n"GetSecretValue": "secretsmanager:GetSecretValue",\n',
    "a call": "password = ask_for(prompt)\ntoken = os.environ['TOKEN']\n",
    "bytes": "\0\1\2\3" * 100,
    "said to be none": "password" + ': "Tr0ub4dor&3" # pragma: allowlist secret\n',
}


@pytest.mark.parametrize("text", HARMLESS.values(), ids=HARMLESS.keys())
def test_what_only_looks_like_one(text: str) -> None:
    assert secret_in(text.encode(), "conf.yaml") is None
