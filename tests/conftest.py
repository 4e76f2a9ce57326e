"""One project is baked, installed and run once per session; tests examine it, or a clone of it, as its users would."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from baked import Project, bake, remove_hooks, use_perceptron
from command import Lineage
from filelock import FileLock

# What Python compiles beside the sources of the template would be baked into projects.
sys.dont_write_bytecode = True

# Workers are given whole files, at first two each. Those that take minutes come first: at the end, everybody would wait
# for one of them. While one worker makes the project that all share, the others do what needs none.
SLOWEST_FIRST = (
    "test_dispatch.py",
    "test_image.py",
    "test_pipelines.py",
    "test_infrastructure_roles.py",
    "test_ci.py",
    "test_spot.py",
    "test_mlflow_app.py",
    "test_spark.py",
    "test_shard_cache.py",
    "test_large_data.py",
    "test_tutorials.py",
    "test_link.py",
    "test_erasure.py",
    "test_baseline.py",
    "test_unfinished_jobs.py",
    "test_pretrained.py",
    "test_mutations.py",
    "test_image_folder.py",
    "test_together.py",
    "test_optout.py",
    "test_modes.py",
    "test_job_requests.py",
    "test_registration.py",
    "test_verify.py",
    "test_data.py",
    "test_server.py",
    "test_serving.py",
    "test_reproduce.py",
    "test_kills.py",
    "test_backends.py",
    "test_shared_tracker.py",
    "test_forged_tombstones.py",
    "test_scope.py",
    "test_cruft.py",
    "test_photographs.py",
    "test_attacks.py",
    "test_foreign_code.py",
    "test_spark_engine.py",
    "test_trackers.py",
    "test_evidence.py",
    "test_gc.py",
    "test_notebook.py",
    "test_promote.py",
    "test_slices_and_drift.py",
    "test_diff.py",
    "test_trace_page.py",
    "test_roles.py",
    "test_disk.py",
    "test_callbacks.py",
    "test_hostile_home.py",
)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    order = {name: place for place, name in enumerate(SLOWEST_FIRST)}
    items.sort(key=lambda item: order.get(item.path.name, len(order)))


@pytest.fixture(autouse=True)
def no_leftovers_of_mlflow() -> Iterator[None]:
    """MLflow keeps its store and its active run in globals and the environment: tests must not inherit them."""
    yield
    if "mlflow" in sys.modules:
        sys.modules["mlflow"].end_run()
    for name in [name for name in os.environ if name.startswith("MLFLOW_")]:
        del os.environ[name]


@pytest.fixture(scope="session")
def shared(tmp_path_factory: pytest.TempPathFactory, worker_id: str) -> Path:
    """A folder that all workers of this session have in common."""
    base = tmp_path_factory.getbasetemp()
    return base if worker_id == "master" else base.parent


@pytest.fixture(scope="session")
def identity(shared: Path) -> dict[str, str]:
    """A Git identity that does not depend on the machine."""
    config = shared / "gitconfig"
    config.write_text("[user]\n\tname = Tester\n\temail = tester@example.org\n[init]\n\tdefaultBranch = main\n")
    return {"GIT_CONFIG_GLOBAL": str(config), "GIT_CONFIG_NOSYSTEM": "1", "DVC_NO_ANALYTICS": "1"}


@pytest.fixture(scope="session")
def installed(shared: Path, identity: dict[str, str]) -> Project:
    """A baked project after `make setup`. Nothing has run in it."""
    with FileLock(shared / "installed.lock"):
        root = shared / "installed" / "traceable-digits"
        if not root.exists():
            bake(root.parent)
            # compiled as it is imported: most of it never is here
            project = Project(root, root / ".venv", {**identity, "UV_COMPILE_BYTECODE": "0"})
            project.run("make", "setup", f"PYTHON={sys.executable}")
    return Project(root, root / ".venv", identity)


@pytest.fixture(scope="session")
def default(shared: Path, installed: Project, lineage: Lineage) -> Project:
    """The project as it is baked, run with the default settings, committed and pushed. For reading only.

    As people run it: no stage is a fork.
    """
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Project, "forks", "none")
        return first_model(shared / "default", installed, lambda root: None)


@pytest.fixture(scope="session")
def baseline(shared: Path, installed: Project, lineage: Lineage) -> Project:
    """The same with the small network of tests/perceptron. For reading only: clone to change."""
    return first_model(shared / "baseline", installed, use_perceptron)


def first_model(folder: Path, installed: Project, prepare: Callable[[Path], None]) -> Project:
    project = Project(folder / installed.root.name, installed.venv, installed.environment)
    with FileLock(folder.with_suffix(".lock")):
        done = folder.with_suffix(".done")
        if not done.exists():
            shutil.rmtree(folder, ignore_errors=True)
            prepare(bake(folder))
            folder.with_suffix(".log").write_text(project.dvc("repro"))
            remove_hooks(project.root)
            project.commit("First model")
            project.dvc("push", "--quiet")
            done.touch()
    return project


@pytest.fixture(scope="session")
def linked(shared: Path, baseline: Project, lineage: Lineage) -> Project:
    """Two models, committed, pushed to a Git remote and to the DVC remote, and linked. For reading only."""
    folder = shared / "linked"
    project = Project(folder / baseline.root.name, baseline.venv, baseline.environment)
    with FileLock(shared / "linked.lock"):
        done = shared / "linked.done"
        if not done.exists():
            shutil.rmtree(folder, ignore_errors=True)
            baseline.copy(folder)
            project.add_origin(folder / "origin.git")
            # dvc writes the small number as 1e-05, which to YAML 1.1 is text
            project.compose("train=debug", "train.seed=5", "train.weight_decay=1e-5")
            project.dvc("repro")
            project.commit("Second model")
            project.git("push", "--quiet", "origin", "main")
            project.dvc("push", "--quiet")
            lineage(project, "link")
            done.touch()
    return project


@pytest.fixture(scope="session")
def lineage(installed: Project) -> Iterator[Lineage]:
    """The command `lineage`, without waiting for imports."""
    script = str(Path(__file__).with_name("warm.py"))
    process = installed.start("python", script, stdin=subprocess.PIPE, stderr=None)
    assert process.stdout is not None
    assert process.stdout.readline() == "ready\n"
    command = Lineage(process)

    def fork(project: Project, *arguments: str) -> tuple[int, str]:
        status, output, _ = command.fork(project, arguments, together=True)
        return status, output

    Project.fork, Project.serve = fork, command.serve
    yield command
    Project.fork = Project.serve = None
    assert process.stdin is not None
    process.stdin.close()
    process.wait(timeout=60)
    process.stdout.close()


@pytest.fixture(scope="module")
def new_processes() -> Iterator[None]:
    """For tests of what only a new process shows: stages, and what they start, are none that were forked."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Project, "forks", "none")
        yield


@pytest.fixture(scope="module")
def new_trackers() -> Iterator[None]:
    """For tests of the process that talks to MLflow for several stages: that alone is none that was forked."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Project, "forks", "stages")
        yield


@pytest.fixture(scope="module")
def sandbox(baseline: Project, tmp_path_factory: pytest.TempPathFactory) -> Project:
    """A clone of the baseline that the tests of one module share and change in turn."""
    return baseline.clone(tmp_path_factory.mktemp("sandbox") / "project")


@pytest.fixture
def clone(baseline: Project, tmp_path: Path) -> Callable[[str], Project]:
    """Makes clones of the baseline for one test."""
    return lambda name: baseline.clone(tmp_path / name)


@pytest.fixture
def project(linked: Project, tmp_path: Path) -> Project:
    """A copy of the linked project, to damage."""
    return linked.copy(tmp_path)
