"""Which blocks of how-tos and of READMEs nobody types in the tests, and why. tests/test_howtos.py types all others."""

from __future__ import annotations

from .blocks import Block

ACCOUNT = "needs an AWS account"
INSTALLS = "installs packages"
SERVER = "needs a server of one's own"
# by page, and by how the block begins: the first that fits; "" is every block
NOT_TYPED: dict[str, dict[str, str]] = {
    "README": {
        "make demo": "makes environments, and takes minutes",
        "cruft": "needs a template that has changed",
        "dvc repro": "the same as in the first tutorial",
        "git add": "the same as in the first tutorial",
    },
    "evidence": {
        "make setup-evidence": INSTALLS,
        "openssl": "the same as in the README",
        "mlflow artifacts": "needs what `make setup-evidence` installs",
    },
    "infrastructure": {"": ACCOUNT},
    "mlflow": {"mlflow ui": "is a server that ends when a person ends it", "": ACCOUNT},
    "pipelines": {"": ACCOUNT},
    "python": {"": INSTALLS},
    "resume": {"": "needs a training that was ended half-way"},
    "sagemaker": {"": ACCOUNT},
    "sagemaker-registry": {"": ACCOUNT},
    "serving": {"": ACCOUNT},
    "spark": {"make": INSTALLS, "": ACCOUNT},
    "tables": {"": ACCOUNT},
    "team": {"python -m venv": INSTALLS},
    "trackers": {"": INSTALLS},
    "updating": {"": "needs a template that has changed"},
    "your-data": {
        "export AWS": ACCOUNT,
        "lineage compose data=cifar10": "downloads images",
        "git add": "needs the source that the reader has written",
    },
    "your-model": {"dvc exp run -S train.processes": "needs PyTorch and minutes", "": "downloads images"},
}


def reason(page: str, block: Block) -> str | None:
    """Why a block is not typed; None if it is."""
    first = block.typed[0] if block.typed else ""
    return next((why for start, why in NOT_TYPED.get(page, {}).items() if first.startswith(start)), None)
