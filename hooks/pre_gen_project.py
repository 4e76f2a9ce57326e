"""Refuses answers that could not work, before anything is written.

post_gen_project refuses one more thing, which only the locks of the new project tell: a name that a package of the
pipeline has.
"""

import json
import keyword
import os
import posixpath
import re
import shutil
import sys
import unicodedata
from pathlib import Path, PurePosixPath

# as JSON in a raw string: there is nothing in an answer that could end it, or be run
ANSWERS = json.loads(r"""{{ cookiecutter | tojson }}""")
QUESTIONS = [name for name in ANSWERS if not name.startswith("_")]

# folders and modules that stand beside the package
BESIDE = (
    "attestations build collected conf data dist docs dvc_plots erasures hydra_plugins infra lineage log metrics "
    "mlartifacts mlruns models notebooks plots promotions retired scripts tests venv"
)
WINDOWS = {"con", "prn", "aux", "nul", *(f"{port}{digit}" for port in ("com", "lpt") for digit in range(10))}
YAML_WORDS = {"null", "true", "false", "yes", "no", "on", "off", "y", "n"}
BIDIRECTIONAL = set("\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")

SECRET = re.compile(r"(password|passwd|pwd|token|secret|key)=", re.IGNORECASE)
# what DVC can also use, by the extra that brings it; requirements.lock installs dvc[s3] alone
EXTRAS = {"gs": "gs", "gdrive": "gdrive", "azure": "azure", "oss": "oss", "ssh": "ssh", "hdfs": "hdfs"}
EXTRAS |= {"webhdfs": "webhdfs", "webdav": "webdav", "webdavs": "webdav"}
DVC_ADDRESS = "a local folder or s3://bucket/prefix"
MLFLOW_ADDRESS = (
    "sqlite:///mlflow.db, https://server, or arn:aws:sagemaker:REGION:ACCOUNT:mlflow-app/NAME "
    "(mlflow-tracking-server/NAME)"
)


def refusal(answers):
    """Why the answers cannot work, in a sentence; None if they can."""
    reason = occupied(Path.cwd()) or place(str(Path.cwd()))
    if reason:
        return reason
    if shutil.which("git") is None:
        return "Git is not installed, and the project is a Git repository: install Git and bake again."
    for check in (texts, slug, package, remote, tracking, reach, jobs):
        reason = check(answers)
        if reason:
            return reason
    return None


def occupied(folder):
    """With --overwrite-if-exists cookiecutter comes to a folder that holds something: nothing in it is changed.

    A second bake would give a project another id, empty its dvc.lock, and commit what lies there to another branch.
    """
    there = sorted(path.name for path in folder.iterdir() if path.name != ".DS_Store")
    if not there:
        return None
    more = f" and {len(there) - 3} more" if len(there) > 3 else ""
    what = f"{str(folder)!r} is there already and holds {', '.join(there[:3])}{more}: nothing was changed."
    if {".dvc", "dvc.lock"} & set(there):
        return f"{what} Baked again, a project loses its id and its models. `cruft update` brings a newer template."
    return f"{what} Bake into another folder (--output-dir), and move there what you want to keep."


def place(path):
    """A path that a tool of the project would read as another one."""
    if os.pathsep in path:
        return f"{path!r} holds {os.pathsep}, which separates the folders of a PATH: bake where no folder has one."
    mark = re.search(r"[?]|%[0-9A-Fa-f]{2}", path)
    if mark:  # as SQLAlchemy and MLflow read addresses
        return (
            f"{path!r} holds {mark[0]}, which means something in the address of a store: bake where no folder has it."
        )
    return None


def texts(answers):
    for name in QUESTIONS:
        text = answers[name]
        if not text.strip():
            return f"{name} is empty: answer one line of text."
        if text != text.strip():
            return f"{name} begins or ends with a space: answer it without."
        hidden = next((char for char in text if is_hidden(char)), None)
        if hidden is not None:
            return f"{name} holds the invisible character U+{ord(hidden):04X}: answer one line of visible text."
        jinja = next((mark for mark in ("{" + "{", "{" + "%", "{" + "#") if mark in text), None)
        if jinja:
            return f"{name} holds {jinja}, which cookiecutter takes for a command of its own: answer it without."
    return None


def is_hidden(char):
    # controls, lone surrogates, what is no character, and the ends of lines that only some readers know
    return unicodedata.category(char) in {"Cc", "Cs", "Cn", "Zl", "Zp"} or char in BIDIRECTIONAL


def slug(answers):
    text = answers["project_slug"]
    # no dot: MLflow takes none in the name of a model
    if not re.fullmatch(r"[A-Za-z]([A-Za-z0-9_-]{0,61}[A-Za-z0-9])?", text):
        return (
            f"project_slug {text!r} must begin with a letter, end with a letter or digit, and hold only letters, "
            "digits, '_' and '-', 63 at most: answer, for example, traceable-digits."
        )
    if text.lower() in YAML_WORDS:
        return f"project_slug {text!r} is not text to YAML: answer another name, for example {text}-model."
    if text.lower() in WINDOWS:
        return f"project_slug {text!r} is a name that Windows keeps for a device: answer another."
    return None


def package(answers):
    text = answers["package_name"]
    if not re.fullmatch(r"[a-z][a-z0-9_]*", text):
        return (
            f"package_name {text!r} must be a Python identifier of small letters, digits and '_', a letter first: "
            "answer, for example, traceable_digits."
        )
    if keyword.iskeyword(text) or keyword.issoftkeyword(text):
        return f"package_name {text!r} is a keyword of Python: answer another, for example {text}_model."
    for taken, names in (
        ("a module of Python's own", sys.stdlib_module_names),
        ("a folder of the project", set(BESIDE.split())),
        ("a device on Windows", WINDOWS),
    ):
        if text in names:
            return f"package_name {text!r} is the name of {taken}: answer another, for example {text}_model."
    return None


def remote(answers):
    url = answers["dvc_remote_url"]
    scheme, mark, rest = url.partition("://")
    if not mark:
        return folder(url)
    if "@" in rest.partition("/")[0] or SECRET.search(rest):
        return credentials(
            "dvc_remote_url", "DVC takes credentials from AWS_PROFILE and the like, or .dvc/config.local"
        )
    if scheme == "s3":
        if not re.fullmatch(r"(?![\d.]+(/|$))[a-z0-9][a-z0-9.-]{1,61}[a-z0-9](/.*)?", rest):
            return f"dvc_remote_url {url!r} names no S3 bucket: answer s3://bucket/prefix."
        return unusable(url)
    if scheme == "file":
        return f"dvc_remote_url {url!r} is a folder: answer its path alone."
    if scheme in ("http", "https"):
        return (
            f"dvc_remote_url {url!r} is a place that DVC can seldom write to: answer {DVC_ADDRESS}. If that server "
            "takes uploads, run `dvc remote modify storage url URL` in the new project."
        )
    if scheme in EXTRAS:
        extra = f"dvc[{EXTRAS[scheme]}]"
        return (
            f"dvc_remote_url {url!r} needs {extra}, which requirements.lock does not install: answer {DVC_ADDRESS}, "
            f"then, in the new project, add {extra} to requirements.in, and run `make lock setup` and "
            "`dvc remote modify storage url URL`."
        )
    return f"dvc_remote_url {url!r} has a scheme that DVC does not know: answer {DVC_ADDRESS}."


def folder(url):
    if re.match(r"[A-Za-z][A-Za-z0-9+.-]+:|[^/]+@[^/]+:", url):  # a single letter is a drive
        return f"dvc_remote_url {url!r} is neither an address nor a folder: answer {DVC_ADDRESS}."
    try:
        path = (Path.cwd() / Path(url).expanduser()).resolve()
    except RuntimeError:  # ~somebody
        return f"dvc_remote_url {url!r} names a home folder that does not exist here: answer the whole path."
    if path.is_relative_to(Path.cwd()):
        return f"dvc_remote_url {url!r} lies inside the project, where Git would take it in: answer ../dvc-remote."
    if path.is_file():
        return f"dvc_remote_url {url!r} is a file: answer a folder."
    return unusable(str(path))


def unusable(url):
    # DVC reads a comment, a list or a reference there, and fills in braces when it shows a transfer
    mark = next((mark for mark in ("#", ",", "%(", "{", "}") if mark in url), None)
    if mark or url[0] in "'\"":
        return f"dvc_remote_url would be {url!r}, where DVC stumbles over {mark or url[0]}: answer a place without it."
    return None


def tracking(answers):
    uri = answers["mlflow_tracking_uri"]
    scheme, _, rest = uri.partition(":")
    if scheme in ("http", "https"):
        if "@" in rest or SECRET.search(rest):
            how = "MLflow reads MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD from the environment"
            return credentials("mlflow_tracking_uri", how)
        form = re.fullmatch(r"//([\w.-]+|\[[0-9a-f:]+\])(?::(\d{1,5}))?(/[\w./~%+=?&-]*)?", rest)
        if form is None or int(form[2] or 1) not in range(1, 65536):
            return f"mlflow_tracking_uri {uri!r} is not the address of a server: answer {MLFLOW_ADDRESS}."
        return None
    if scheme == "sqlite":
        if not re.fullmatch(r"///[\w./:@+=-]*\w", rest) or rest.startswith("///:"):
            return (
                f"mlflow_tracking_uri {uri!r} names no SQLite file: answer sqlite:///mlflow.db (inside the project) or "
                "sqlite:////absolute/path/mlflow.db, of letters, digits and ./_-:@+= alone."
            )
        written = rest.removeprefix("///")
        path, normal = PurePosixPath(written), posixpath.normpath(written)
        if path.suffix not in (".db", ".sqlite", ".sqlite3") or path.parts[0] in BESIDE.split():
            return (
                f"mlflow_tracking_uri {uri!r} could be a file of the project: answer one that ends with .db, .sqlite, "
                "or .sqlite3, and is in none of the project's own folders."
            )
        if not path.is_absolute() and written != normal:  # no line of .gitignore would match it
            return f"mlflow_tracking_uri {uri!r} takes a detour by './', '../' or '//': answer sqlite:///{normal}."
        return None
    if scheme == "arn":
        if not re.fullmatch(r"arn:aws[a-z-]*:sagemaker:[a-z0-9-]+:\d{12}:mlflow-(app|tracking-server)/[\w.-]+", uri):
            return f"mlflow_tracking_uri {uri!r} is the ARN of no MLflow in SageMaker: answer {MLFLOW_ADDRESS}."
        return None
    if SECRET.search(uri) or "@" in uri:  # not shown: it may hold a password
        return f"mlflow_tracking_uri must be an address that this template knows: answer {MLFLOW_ADDRESS}."
    return f"mlflow_tracking_uri {uri!r} is no store that this template knows: answer {MLFLOW_ADDRESS}."


def credentials(question, how):
    return f"{question} must not hold a user, password or key, for it is kept in Git: answer it without. {how}."


def reach(answers):
    """A shared MLflow whose models lead to data on somebody's own disk is a chain that nobody else can follow."""
    uri, url = answers["mlflow_tracking_uri"], answers["dvc_remote_url"]
    alone = re.match(r"sqlite:|https?://(localhost|127\.[\d.]+|\[::1\])(:|/|$)", uri)
    if "://" in url or alone:
        return None
    return (
        f"dvc_remote_url {url!r} is a folder of this machine while mlflow_tracking_uri is shared, so others could not "
        "get the data of the models they see: answer s3://bucket/prefix. If all of them mount that folder, bake with "
        "sqlite:///mlflow.db and set tracking.uri in the new project."
    )


def jobs(answers):
    """A job that trains registers a version: in a file of its own, that would go with its machine."""
    uri = answers["mlflow_tracking_uri"]
    if answers["ci"] == "none" or answers["ci_jobs"] != "train" or not re.match(r"sqlite:///(?!/)", uri):
        return None
    return (
        f"ci_jobs 'train' would register versions in mlflow_tracking_uri {uri!r}, a file that goes with the machine of "
        "the job: answer https://server, or report for ci_jobs."
    )


reason = refusal(ANSWERS)
if reason:
    print(reason, file=sys.stderr)
    sys.exit(1)
