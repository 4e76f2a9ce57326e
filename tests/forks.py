"""A fork of a process that has imported much, in place of a new Python that would import it all again.

For commands of this very Python that a test's command starts: a stage of `dvc repro`, what a stage starts itself. Each
gets the output, folder, variables and parent that a new process would have. It is forked from a helper that has run
nothing, so that nothing of the command that starts it is in it. Linux only: elsewhere there are new processes.
"""

import _imp
import ctypes
import gc
import itertools
import json
import os
import re
import runpy
import shutil
import socket
import subprocess
import sys
import threading
import time
import traceback
import types
from importlib._bootstrap_external import SourceLoader
from importlib.machinery import SourceFileLoader
from pathlib import Path

SET_CHILD_SUBREAPER = 36  # of prctl(2): orphans below this process become its children
STAGE = re.compile(r"python -I scripts/stage\.py [\w.]+")  # what dvc gives to a shell
# what a stage starts itself, beside stages: dvc, the process that talks to MLflow, the trial of a model
SOURCE = ("-I", "-c")
KINDS = {("-I", "scripts/stage.py"), SOURCE, ("-m", "dvc"), ("-m", "lineage.compute.sagemaker.job")}
OF_PROJECTS = ("lineage", "traceable_digits", "hydra_plugins")  # each project has its own
ISOLATED = [folder for folder in sys.path if folder != str(Path(__file__).parent)]  # the path of `python -I`
INHERIT = -1  # of subprocess: no redirection
_new_process, _become_program = subprocess._fork_exec, os.execve
_compile = SourceLoader.source_to_code
_compiled = {}  # the code of each source of a project: all projects have the same ones, each in another folder
_learned = None  # the number of the file that takes down what was imported


def take_down(learned):
    """The open file with the number `learned` gets the names of what forks import."""
    global _learned
    _learned = learned


def compile_ahead():
    """Sees to it that forks compile no source again that the project with this environment has as well."""
    root = Path(sys.prefix).parent
    for file in itertools.chain.from_iterable((root / package).rglob("*.py") for package in OF_PROJECTS):
        _compiled[file.read_bytes()] = SourceFileLoader(file.stem, str(file)).get_code(file.stem)
    SourceLoader.source_to_code = compiled_or_not


def compiled_or_not(loader, data, path, **options):
    code = _compiled.get(data)
    if code is None:
        return _compile(loader, data, path, **options)
    _imp._fix_co_filename(code, path)
    return code


def prepare():
    """From here on, what this process starts is a fork where it can be one."""
    if sys.platform != "linux":
        return
    ctypes.CDLL(None).prctl(SET_CHILD_SUBREAPER, 1, 0, 0, 0)
    here, there = socket.socketpair()
    if os.fork() == 0:
        here.close()
        nothing = os.open(os.devnull, os.O_RDWR)
        _take((nothing, nothing, nothing), kept=(there.fileno(), *_taken_down()))
        _serve(there)
    there.close()
    turn = threading.Lock()

    def fork_or_exec(*given):
        arguments, keep, folder, variables = given[0], given[3], given[4], given[5]
        p2cread, c2pwrite, errwrite, errpipe = given[6], given[9], given[11], given[13]
        session, others = given[15], given[16:22]
        environment = dict(os.environ) if variables is None else _decoded(variables)
        command = _command(arguments, environment)
        if command is None or set(keep) != {errpipe} or others not in PLAIN or not given[2]:
            return _new_process(*given)
        sys.stdout.flush()
        sys.stderr.flush()
        request = {"command": command, "environment": environment, "folder": os.fspath(folder or Path.cwd())}
        streams = [number if number != INHERIT else own for own, number in enumerate((p2cread, c2pwrite, errwrite))]
        with turn:
            return _ask(here, {**request, "session": bool(session)}, streams)

    subprocess._fork_exec = fork_or_exec
    os.execve = become_or_exec


def become_or_exec(path, arguments, environment):
    """Goes on as another Python, in this process."""
    command = _command(arguments, environment)
    if command is None:
        _become_program(path, arguments, environment)
    sys.stdout.flush()
    sys.stderr.flush()
    os.environ.clear()
    os.environ.update(environment)
    forget_projects()
    end(run_python(command), set(sys.modules))


# process group, gid, gids, uid, umask, function before exec
PLAIN = ((-1, None, None, None, -1, None), (-1, -1, None, -1, -1, None))


def _decoded(variables):
    pairs = (os.fsdecode(variable).partition("=") for variable in variables)
    return {name: value for name, _, value in pairs}


def _command(arguments, environment):
    """The arguments of Python that a fork can do; None if it takes a new process."""
    words = [os.fsdecode(word) for word in arguments]
    if len(words) > 2 and words[-2] == "-c" and Path(words[0]).name in ("sh", "bash", "dash"):
        if not STAGE.fullmatch(words[-1]):
            return None
        words = words[-1].split()
    if tuple(words[1:3]) not in KINDS:
        return None
    found = shutil.which(words[0], path=environment.get("PATH", ""))
    is_this = found is not None and Path(found).parent.absolute() == Path(sys.executable).parent
    return words[1:] if is_this and (words[0] == "python" or words[0] == sys.executable) else None


def _ask(helper, request, streams):
    """The number of the process that the helper has made."""
    note = os.memfd_create("request")
    try:
        os.write(note, json.dumps({**request, "parent": os.getpid()}).encode())
        socket.send_fds(helper, [b"!"], [*streams, note])
        return int.from_bytes(_exactly(helper, 4), "big")
    finally:
        os.close(note)


def _exactly(connection, size):
    data = connection.recv(size, socket.MSG_WAITALL)
    if len(data) != size:
        raise RuntimeError("the helper that forks has ended")
    return data


def _serve(caller):
    """Makes a process for each request of `caller`, until that has ended. Never returns."""
    try:
        while True:
            message, numbers, _, _ = socket.recv_fds(caller, 1, 4)
            if not message:
                os._exit(0)
            *streams, note = numbers
            request = json.loads(os.pread(note, os.fstat(note).st_size, 0))
            told, tell = os.pipe()
            between = os.fork()
            if between == 0:
                between = os.getpid()
                number = os.fork()
                if number:  # whose end makes it a child of the caller
                    os.write(tell, number.to_bytes(4, "big"))
                    os._exit(0)
                while os.getppid() == between:
                    time.sleep(0.0005)  # between two looks at the condition
                begin(request, streams)
            os.close(tell)
            os.waitpid(between, 0)
            caller.sendall(os.read(told, 4))
            for number in (*numbers, told):
                os.close(number)
    except BaseException:
        traceback.print_exc()
        os._exit(1)


def _taken_down():
    return () if _learned is None else (_learned,)


def begin(request, streams):
    """Becomes what a new Python would be with this command, and ends. `streams` are numbers of open files."""
    code, known = 1, set(sys.modules)
    try:
        _take(streams, kept=_taken_down())
        if request["session"]:
            os.setsid()
        os.chdir(request["folder"])
        os.environ.clear()
        os.environ.update(request["environment"])
        forget_projects()
        _open_streams()
        gc.collect()
        gc.freeze()
        if request["command"][:2] != ["-I", "-c"]:  # which starts nothing itself, and may go on
            prepare()
        code = run_python(request["command"])
    except BaseException:
        traceback.print_exc()
    finally:
        end(code, known)


def end(code, known):
    """Ends this process, and takes down what it has imported."""
    sys.stdout.flush()
    sys.stderr.flush()
    names = [name for name in sys.modules if name not in known and name.partition(".")[0] not in OF_PROJECTS]
    if _learned is not None:
        os.write(_learned, "".join(f"{name} " for name in names).encode())
    os._exit(code)


def _take(streams, kept):
    """Makes `streams` the input, output and error output of this process, and closes all else but `kept`."""
    for own, number in enumerate([os.dup(number) for number in streams]):
        os.dup2(number, own)
    edges = [2, *sorted(kept), os.sysconf("SC_OPEN_MAX")]
    for low, high in itertools.pairwise(edges):
        os.closerange(low + 1, high)


def _open_streams():
    """A process that is new has nothing in its buffers."""
    former = sys.__stdout__
    how = {"encoding": former.encoding, "closefd": False}
    sys.stdin = sys.__stdin__ = open(0, errors=former.errors, **how)  # noqa: SIM115
    sys.stdout = sys.__stdout__ = open(1, "w", errors=former.errors, **how)  # noqa: SIM115
    sys.stderr = sys.__stderr__ = open(2, "w", 1, errors="backslashreplace", **how)  # noqa: SIM115


def forget_projects():
    for name in [name for name in sys.modules if name.partition(".")[0] in OF_PROJECTS]:
        del sys.modules[name]


def run_python(command):
    """The exit status of `python COMMAND`."""
    isolated = command[0] == "-I"
    words = command[1:] if isolated else command
    sys.path[:] = ISOLATED
    if not isolated:
        folders = [folder for folder in os.environ.get("PYTHONPATH", "").split(os.pathsep) if folder]
        sys.path[:0] = [str(Path.cwd()), *folders]
        for folder in folders:
            start = Path(folder) / "sitecustomize.py"
            if start.exists():
                runpy.run_path(str(start))
    try:
        if words[0] == "-m":
            sys.argv = words[1:]
            runpy.run_module(words[1], run_name="__main__", alter_sys=True)
        elif words[0] == "-c":
            sys.argv = ["-c", *words[2:]]
            _run_source(words[1], "<string>")
        else:
            file = str(Path(words[0]).absolute())
            if not isolated:
                sys.path[0] = str(Path(file).resolve().parent)
            sys.argv = words
            _run_source(Path(file).read_bytes(), file, __file__=file)
    except SystemExit as error:
        return status(error)
    except BaseException:
        traceback.print_exc()
        return 1
    return 0


def _run_source(source, name, **attributes):
    main = sys.modules["__main__"] = types.ModuleType("__main__")
    main.__dict__.update(attributes)
    exec(compile(source, name, "exec", dont_inherit=True), main.__dict__)


def status(error):
    """The exit status that SystemExit asks for; a sentence is printed, as Python does."""
    if error.code is None or isinstance(error.code, int):
        return error.code or 0
    print(error.code, file=sys.stderr)
    return 1
