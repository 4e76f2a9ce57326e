"""Makes the baked folder a Git repository with a first commit. Needs Git and Python, and no network."""

import importlib.util
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import uuid
from pathlib import Path

PROJECT = Path.cwd()
# as JSON in a raw string: there is nothing in an answer that could end it, or be run
ANSWERS = json.loads(r"""{{ cookiecutter | tojson }}""")
WORKFLOWS = {"github": ".github", "gitlab": ".gitlab-ci.yml"}
# what is about the model, and not about the code alone
OF_THE_MODEL = (".github/workflows/model.yml", ".github/workflows/checks.yml", ".github/workflows/promote.yml")
OF_THE_MODEL += ("scripts/ci", "docs/ci.md")
INFRA = ("infra", "docs/infrastructure.md")
# what packages of the locks are imported as, where it is not their name; a test compares it with what is installed
IMPORTED_AS = """
adbc_driver_duckdb antlr4 attr cuda databricks dateutil dotenv fb303 flufl functorch git google graphql hive_metastore
hydra importlinter isympy markdown_it mpl_toolkits mypyc nacl nvidia opentelemetry pil pip public py pydevd_plugins
pylab rpds ruamel sklearn torchgen validate wheel yaml zc
"""
# set where the template is baked from inside a Git hook; the new repository must not be that one
ENVIRONMENT = {key: value for key, value in os.environ.items() if not key.startswith("GIT_")}


def main():
    refuse_taken_names()
    choose_jobs()
    remove_other_workflows()
    if ANSWERS["infra"] == "no":
        remove(*INFRA)
    fill_project_id()
    fill_conf_digest()
    remote = anchor_local_remote()
    make_repository()
    notes = [keep_out_of_other_repositories(remote), look_around_the_store(), *install_hooks(), warn_of_letters()]
    say_next_steps([note for note in notes if note])


def refuse_taken_names():
    """Ends baking where the project, or its package, has the name of a package that the pipeline installs."""
    locks = "".join(path.read_text(encoding="utf-8") for path in PROJECT.glob("requirements*.lock"))
    installed = {importable(name) for name in re.findall(r"^([A-Za-z0-9][A-Za-z0-9._-]*)", locks, re.MULTILINE)}
    slug, package = ANSWERS["project_slug"], ANSWERS["package_name"]
    if importable(package) in installed | set(IMPORTED_AS.split()):
        reason = f"package_name {package!r} would hide a package that the pipeline imports: answer my_{package}"
    elif importable(slug) in installed:
        reason = f"project_slug {slug!r} would replace a package that the pipeline installs: answer my-{slug}"
    else:
        return
    print(f"{reason}, for example.", file=sys.stderr)
    sys.exit(1)  # cookiecutter removes the folder


def importable(name):
    return re.sub(r"[-_.]+", "_", name).lower()


def choose_jobs():
    """Leaves as many of the jobs as were asked for. Workflows of GitHub are not rendered: their braces are its own."""
    if ANSWERS["ci"] == "none" or ANSWERS["ci_jobs"] == "checks":
        remove(*OF_THE_MODEL)
    elif ANSWERS["ci_jobs"] == "report":
        for job in ("pull-request", "main"):
            replace(PROJECT / OF_THE_MODEL[0], f"scripts/ci {job}\n", f"scripts/ci {job} --as-committed\n")


def remove_other_workflows():
    """Leaves the CI that was asked for. Here, and not by names with conditions in them: cruft runs this as well."""
    remove(*[path for name, path in WORKFLOWS.items() if name != ANSWERS["ci"]])


def remove(*paths):
    for target in (PROJECT / path for path in paths):
        shutil.rmtree(target) if target.is_dir() else target.unlink()


def fill_project_id():
    """Replaces the placeholder in conf/project.yaml and params.yaml by an id of this project's own."""
    identifier = f"p{uuid.uuid4().hex[1:]}"  # with a letter in front, no YAML reader takes it for a number
    for name in ("conf/project.yaml", "params.yaml"):
        replace(PROJECT / name, "project_id: not-yet-made", f"project_id: {identifier}")
    # conf/privacy takes it from there
    replace(PROJECT / "params.yaml", "salt: not-yet-made", f"salt: {identifier}")


def fill_conf_digest():
    """Writes the digest of conf/, as the composition does from now on, so that params.yaml is not stale at once."""
    sys.dont_write_bytecode = True  # nothing is left in the new project that is not its own
    spec = importlib.util.spec_from_file_location("composition", PROJECT / "hydra_plugins" / "composition.py")
    composition = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(composition)
    digest = composition.conf_digest(PROJECT / "conf")
    replace(PROJECT / "params.yaml", "conf_digest: not-yet-made", f"conf_digest: {digest}")


def anchor_local_remote():
    """Makes a local remote absolute: relative, it would be another folder in each clone and temporary experiment.

    Returns its folder; None for a remote that is none.
    """
    url = ANSWERS["dvc_remote_url"]
    if "://" in url:
        return None
    path = (PROJECT / Path(url).expanduser()).resolve()
    replace(PROJECT / ".dvc" / "config", f"url = {url}", f"url = {path}")
    return path


def keep_out_of_other_repositories(remote):
    """Has a .gitignore of its own keep the remote out of a repository that it lies in. Returns what to say of it.

    `git add --all` there would take every image of every subject into Git, for good.
    """
    around = remote and repository_around(remote)
    if around is None or is_ignored(remote / "files", around):
        return ""
    ignored = remote / ".gitignore"
    if not ignored.exists():
        remote.mkdir(parents=True, exist_ok=True)
        ignored.write_text(
            "# the data of a DVC remote belong in no Git repository\n*\n", encoding="utf-8", newline="\n"
        )
    said = f"The DVC remote {remote} lies in the Git repository {around}"
    if is_ignored(remote / "files", around):
        return f"{said}. Its .gitignore keeps the data out of Git."
    return f"{said}, where `git add` would take in every image. Have Git ignore it, or move it: `dvc remote modify`."


def look_around_the_store():
    """What to say where a SQLite store beside the project lies in a repository that would take it in."""
    scheme, _, path = ANSWERS["mlflow_tracking_uri"].partition(":///")
    store = Path(os.path.normpath(PROJECT / path))
    around = repository_around(store) if scheme == "sqlite" and not store.is_relative_to(PROJECT) else None
    if around is None or is_ignored(store, around):
        return ""
    return f"The MLflow store {store} lies in the Git repository {around}, which would take it in. Have Git ignore it."


def repository_around(path):
    return next((folder for folder in (path, *path.parents) if (folder / ".git").exists()), None)


def is_ignored(path, around):
    return git("-C", str(around), "check-ignore", "--quiet", "--", str(path), check=False) == 0


def make_repository():
    """`git init` on main, one commit of everything. A repository around this folder is not touched."""
    git("init", "--quiet")
    git("symbolic-ref", "HEAD", "refs/heads/main")  # older Git has no `init --initial-branch`
    # somebody's global ignore list must not leave files out
    git("-c", "core.excludesFile=", "add", "--all")
    identity = []
    if git("var", "GIT_COMMITTER_IDENT", check=False) != 0:
        identity = ["-c", f"user.name={ANSWERS['package_name']}", "-c", "user.email=nobody@localhost"]
    git(
        *identity,
        "-c",
        "commit.gpgsign=false",
        "-c",
        f"core.hooksPath={os.devnull}",  # hooks of somebody's Git template may expect another kind of repository
        "commit",
        "--quiet",
        "--no-verify",
        "--message",
        "Begin from the template",
    )


def install_hooks():
    """Copies scripts/post-commit to where Git looks for hooks, if nothing is there. Returns what to say where one is.

    Somebody's Git template may have put a hook or a folder of hooks there, or a link to a file of their own.
    """
    said = dict.fromkeys(install_hook(name) for name in ("post-commit", "post-merge"))
    return [text for text in said if text]


def install_hook(name):
    by_hand = "Call scripts/post-commit from it, or run `lineage link` after each commit of dvc.lock."
    hook = Path(os.path.normpath(PROJECT / git_says("rev-parse", "--git-path", f"hooks/{name}")))
    if not hook.parent.resolve().is_relative_to((PROJECT / ".git").resolve()):
        return f"Git looks for hooks in {hook.parent}, outside of this repository: none was installed. {by_hand}"
    if os.path.lexists(hook):
        return f"{hook} was there already, from your Git template, and was left alone. {by_hand}"
    hook.parent.mkdir(exist_ok=True)  # somebody's Git template may have no hooks
    shutil.copyfile(PROJECT / "scripts" / "post-commit", hook)
    hook.chmod(0o755)
    return ""


def warn_of_letters():
    """What to say where DVC cannot run experiments aside: something in it takes paths for ASCII, in any locale."""
    if str(PROJECT).isascii():
        return ""
    return (
        f"{PROJECT} holds letters beyond ASCII. `dvc repro` and `dvc exp run` work there; `dvc exp run --temp` and "
        "`--queue` end in \"'ascii' codec can't encode characters\". If you want those, move the project."
    )


def say_next_steps(notes):
    folder = PROJECT.parent
    if (
        "_commit" in ANSWERS
        and folder.parent == Path(tempfile.gettempdir()).resolve()
        and folder.name.startswith("tmp")
    ):
        return  # `cruft update` compares two that it bakes for itself
    print(
        f"""
{PROJECT.name} is ready, with its first commit on main. Next:

    cd {PROJECT.name}
    make setup                      # .venv with the locked packages
    . .venv/bin/activate
    dvc repro                       # fetch, preprocess, train, evaluate, register
    git add -A && git commit -m "First model" && dvc push

README.md shows the first ten minutes."""
    )
    for note in notes:
        print(f"\nNote: {note}")


def git(*arguments, check=True):
    done = run_git(arguments)
    if check and done.returncode != 0:
        print(f"git {arguments[0]} failed: {done.stderr.strip()}", file=sys.stderr)
        sys.exit(1)
    return done.returncode


def git_says(*arguments):
    return run_git(arguments).stdout.rstrip("\n")


def run_git(arguments):
    options = {"encoding": "utf-8", "errors": "surrogateescape", "check": False}
    return subprocess.run(["git", *arguments], env=ENVIRONMENT, capture_output=True, **options)


def replace(path, old, new):
    text = path.read_text(encoding="utf-8")
    path.write_text(text.replace(old, new), encoding="utf-8", newline="\n")


main()
