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
# what packages of the locks are imported as, where it is not their name; a test compares it with what is installed
IMPORTED_AS = """
adbc_driver_duckdb antlr4 attr cuda databricks dateutil dotenv fb303 flufl functorch git google graphql hive_metastore
hydra isympy markdown_it mpl_toolkits mypyc nacl nvidia opentelemetry pil pip public py pydevd_plugins pylab rpds ruamel
sklearn torchgen validate wheel yaml zc
"""
# set where the template is baked from inside a Git hook; the new repository must not be that one
ENVIRONMENT = {key: value for key, value in os.environ.items() if not key.startswith("GIT_")}


def main():
    refuse_taken_names()
    remove_other_workflows()
    fill_project_id()
    fill_conf_digest()
    anchor_local_remote()
    make_repository()
    say_next_steps()


def refuse_taken_names():
    """Ends baking where the project, or its package, has the name of a package that the pipeline installs."""
    locks = "".join(
        (PROJECT / name).read_text(encoding="utf-8") for name in ("requirements.lock", "requirements-dev.lock")
    )
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


def remove_other_workflows():
    """Leaves the CI that was asked for. Here, and not by names with conditions in them: cruft runs this as well."""
    for name, path in WORKFLOWS.items():
        if name != ANSWERS["ci"]:
            target = PROJECT / path
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
    """Makes a local remote absolute: relative, it would be another folder in each clone and temporary experiment."""
    url = ANSWERS["dvc_remote_url"]
    if "://" not in url:
        path = (PROJECT / Path(url).expanduser()).resolve()
        replace(PROJECT / ".dvc" / "config", f"url = {url}", f"url = {path}")


def make_repository():
    """`git init` on main, one commit of everything, the hook. A repository around this folder is not touched."""
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
        "commit",
        "--quiet",
        "--no-verify",
        "--message",
        "Begin from the template",
    )
    hook = PROJECT / ".git" / "hooks" / "post-commit"
    hook.parent.mkdir(exist_ok=True)  # somebody's Git template may have no hooks
    shutil.copyfile(PROJECT / "scripts" / "post-commit", hook)
    hook.chmod(0o755)


def say_next_steps():
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

README.md tells the first ten minutes."""
    )


def git(*arguments, check=True):
    done = subprocess.run(["git", *arguments], env=ENVIRONMENT, capture_output=True, text=True, check=False)
    if check and done.returncode != 0:
        print(f"git {arguments[0]} failed: {done.stderr.strip()}", file=sys.stderr)
        sys.exit(1)
    return done.returncode


def replace(path, old, new):
    text = path.read_text(encoding="utf-8")
    path.write_text(text.replace(old, new), encoding="utf-8", newline="\n")


main()
