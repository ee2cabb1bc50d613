"""Build `.venv` from the lock files, and do nothing when it is already what they say.

Runs under the machine's own Python, before anything is installed: standard library only. Needs
Python 3.11 or later with pip 22.3 or later; the `ensurepip` module (Debian's python3-venv) is not
needed, because the machine's pip installs into the environment from outside.
"""

import fcntl
import hashlib
import os
import re
import shutil
import subprocess
import sys
import sysconfig
import tomllib
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.metadata import distributions
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
VENV = ROOT / ".venv"
VENV_PYTHON = VENV / "bin" / "python"
STAMP = VENV / "setup-stamp"
LOCK_FILES = (ROOT / "build.lock", ROOT / "requirements.lock")
OLDEST_PYTHON = (3, 11)
OLDEST_PIP = (22, 3)

# pip settings of the user that would send the packages somewhere else than into `.venv`.
DIVERTING_VARIABLES = (
    "PIP_PREFIX",
    "PIP_REQUIREMENT",
    "PIP_ROOT",
    "PIP_TARGET",
    "PIP_USER",
    "PYTHONHOME",
    "PYTHONPATH",
    "VIRTUAL_ENV",
)


class SetupError(Exception):
    """The machine lacks something; the message says what and how to get it."""


def members() -> list[Path]:
    """Folders of the packages of this repository, in a fixed order."""
    folders = [*ROOT.glob("libs/*"), *ROOT.glob("services/*"), ROOT / "cli"]
    return sorted(folder for folder in folders if (folder / "pyproject.toml").is_file())


def interpreter_identity() -> str:
    """What an environment cannot change after it was made: its place and its interpreter."""
    return f"{sys.executable}\n{sys.version}\n{sysconfig.get_platform()}\n{ROOT}\n"


def wanted_stamp() -> str:
    """Digests of the interpreter and of every file that decides what the environment holds."""
    digest = hashlib.sha256()
    projects = (folder / "pyproject.toml" for folder in members())
    for file in (Path(__file__), *LOCK_FILES, *projects):
        content = file.read_bytes()
        digest.update(f"{file.relative_to(ROOT)} {len(content)}\n".encode())
        digest.update(content)
    return f"{interpreter_identity()}{digest.hexdigest()}\n"


def is_current(stamp: str) -> bool:
    """Whether the environment was completed from exactly this state and can still run."""
    if not STAMP.is_file() or STAMP.read_text() != stamp:
        return False
    # A symlink whose interpreter was upgraded away or removed no longer resolves.
    return VENV_PYTHON.exists()


def continue_with_earlier_interpreter() -> None:
    """Run this program again under the interpreter that the environment was made with.

    So a choice once made with `make setup PYTHON=...` holds for every later `make`, and an
    activated `.venv` does not try to make itself.
    """
    if STAMP.is_file():
        earlier = STAMP.read_text().splitlines()[0]
    elif Path(sys.prefix) == VENV:
        earlier = str(Path(sys.base_prefix, "bin", "python3"))
    else:
        return
    if earlier != sys.executable and os.access(earlier, os.X_OK):
        os.execv(earlier, [earlier, *sys.argv])


def clean_environment() -> dict[str, str]:
    """The caller's environment without the settings that divert an installation."""
    kept = {key: value for key, value in os.environ.items() if key not in DIVERTING_VARIABLES}
    kept["PIP_DISABLE_PIP_VERSION_CHECK"] = "1"
    kept["PIP_NO_INPUT"] = "1"
    kept["PIP_ROOT_USER_ACTION"] = "ignore"
    return kept


def require_pip() -> None:
    """Raise SetupError unless this interpreter has a pip that can install into another one."""
    asked = subprocess.run(
        [sys.executable, "-m", "pip", "--version"],
        capture_output=True,
        text=True,
        check=False,
        env=clean_environment(),
    )
    if asked.returncode != 0:
        raise SetupError(
            f"{sys.executable} has no pip; install it (Debian: apt-get install python3-pip)"
            " or name another interpreter: make setup PYTHON=..."
        )
    version = asked.stdout.split()[1]
    if tuple(int(part) for part in version.split(".")[:2]) < OLDEST_PIP:
        oldest = ".".join(str(part) for part in OLDEST_PIP)
        raise SetupError(f"pip {version} is too old, {oldest} or later is needed")


def pip(action: str, *arguments: str) -> None:
    """Run the machine's pip against `.venv`."""
    command = [sys.executable, "-m", "pip", "--python", str(VENV_PYTHON), action, "--quiet"]
    subprocess.run([*command, *arguments], check=True, env=clean_environment())


def canonical(name: str) -> str:
    """A distribution's name in the form in which two spellings of it are equal."""
    return re.sub(r"[-_.]+", "-", name).lower()


def unlocked_distributions() -> list[str]:
    """Names of what is installed in `.venv` and neither locked nor a package of this repository."""
    pinned = re.compile(r"^([A-Za-z0-9._-]+)==", re.MULTILINE)
    locked = {canonical(name) for file in LOCK_FILES for name in pinned.findall(file.read_text())}
    for folder in members():
        project = tomllib.loads((folder / "pyproject.toml").read_text())["project"]
        locked.add(canonical(project["name"]))
    site_packages = [str(path) for path in VENV.glob("lib/python*/site-packages")]
    installed = {canonical(found.name) for found in distributions(path=site_packages)}
    return sorted(installed - locked)


def build(stamp: str) -> None:
    """Bring the environment to the locked state and leave the stamp as the last step.

    An environment that was complete once is changed in place, so that what runs from it at the
    same time keeps its files; one that never was, or was made by another interpreter, is removed.
    """
    require_pip()
    interpreter = interpreter_identity()
    if VENV.exists() and not (
        STAMP.is_file() and STAMP.read_text().startswith(interpreter) and VENV_PYTHON.exists()
    ):
        shutil.rmtree(VENV)
    if not VENV.exists():
        subprocess.run(
            [sys.executable, "-m", "venv", "--without-pip", str(VENV)],
            check=True,
            env=clean_environment(),
        )
    requirements = [word for file in LOCK_FILES for word in ("--requirement", str(file))]
    # Wheels only: building a foreign source package would run its code and fetch unpinned tools.
    pip("install", "--require-hashes", "--no-deps", "--only-binary", ":all:", *requirements)
    if surplus := unlocked_distributions():
        pip("uninstall", "--yes", *surplus)
    editables = [word for folder in members() for word in ("--editable", str(folder))]
    pip("install", "--no-deps", "--no-build-isolation", "--no-index", *editables)
    STAMP.write_text(stamp)


@contextmanager
def exclusive() -> Iterator[None]:
    """Let one setup of this checkout run at a time; the others wait and then find it done."""
    descriptor = os.open(ROOT, os.O_RDONLY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def main() -> int:
    if sys.version_info < OLDEST_PYTHON:
        oldest = ".".join(str(part) for part in OLDEST_PYTHON)
        print(f"setup: Python {oldest} or later is needed: make setup PYTHON=...", file=sys.stderr)
        return 1
    if "--interpreter-was-chosen" not in sys.argv[1:]:
        continue_with_earlier_interpreter()
    with exclusive():
        stamp = wanted_stamp()
        if is_current(stamp):
            return 0
        print("setup: installing the locked packages into .venv", file=sys.stderr)
        try:
            build(stamp)
        except SetupError as error:
            print(f"setup: {error}", file=sys.stderr)
            return 1
        except subprocess.CalledProcessError as error:
            print(f"setup: failed (exit code {error.returncode}), see above", file=sys.stderr)
            return 1
    print("setup: ready", file=sys.stderr)
    return 0


if __name__ == "__main__":
    sys.exit(main())
