"""The unprivileged account that PostgreSQL runs as when the caller is root.

PostgreSQL refuses to run as root. It then runs as `nobody`, which cannot enter a folder below a
home of mode 0700. Nothing of the user's is opened up for it: the programs are copied to a folder
of root's that everybody may read, and the data folder (owned by `nobody`, wherever it lies) is
the process's working folder, reached as `/proc/self/cwd` without passing through its parents.
"""

import hashlib
import os
import pwd
import shutil
import stat
import tempfile
from dataclasses import dataclass
from pathlib import Path

from kongflow_embedded.errors import EmbeddedServerError

_WORLD_SEARCH = stat.S_IXOTH
_WORLD_READ_AND_SEARCH = stat.S_IROTH | stat.S_IXOTH
# Root makes them, and hands nothing in them to anybody else.
_SHARED_FOLDERS = (Path("/var/lib/kongflow"), Path("/var/tmp/kongflow-root"))  # nosec B108


@dataclass(frozen=True, slots=True)
class Account:
    """A user to run a server as."""

    name: str
    uid: int
    gid: int


def unprivileged_account() -> Account | None:
    """Returns whom to run PostgreSQL as: None (the current user) unless that is root.

    Raises EmbeddedServerError where PostgreSQL would run as neither.
    """
    if os.geteuid() != 0:
        _demand_name(os.geteuid())
        return None
    try:
        entry = pwd.getpwnam("nobody")
    except KeyError:
        raise EmbeddedServerError(
            "PostgreSQL does not run as root and this machine has no user `nobody`: "
            "run as a normal user, or set DATABASE_URL."
        ) from None
    if not Path("/proc/self/cwd").exists():
        raise EmbeddedServerError(
            "PostgreSQL does not run as root on this system: run as a normal user, "
            "or set DATABASE_URL."
        )
    return Account(entry.pw_name, entry.pw_uid, entry.pw_gid)


def _demand_name(uid: int) -> None:
    # initdb and the server look their user up, and end where there is none: as in a container that
    # was started with a bare number.
    try:
        pwd.getpwuid(uid)
    except KeyError:
        raise EmbeddedServerError(
            f"PostgreSQL does not run as user {uid}, which has no name on this machine: "
            "add it to /etc/passwd, run as another user, or set DATABASE_URL."
        ) from None


def is_open_to_everybody(folder: Path) -> bool:
    """Says whether any user can reach and read `folder`."""
    resolved = folder.resolve()
    if (resolved.stat().st_mode & _WORLD_READ_AND_SEARCH) != _WORLD_READ_AND_SEARCH:
        return False
    return all(parent.stat().st_mode & _WORLD_SEARCH for parent in resolved.parents)


def shared_copy(package: Path, *, libraries: Path | None, fingerprint_of: Path) -> Path:
    """Copies a package folder to where everybody can read it; returns the copy.

    The copy is named by the content of `fingerprint_of`, made once, and complete as soon as it
    has its name. `libraries` is a sibling folder that the programs find by a relative path.
    """
    digest = hashlib.sha256(fingerprint_of.read_bytes()).hexdigest()[:16]
    root = _shared_folder()
    target = root / f"{package.name}-{digest}"
    if not target.exists():
        staging = Path(tempfile.mkdtemp(prefix=".copy-", dir=root))
        try:
            _copy_tree(package, staging / package.name)
            if libraries is not None:
                _copy_tree(libraries, staging / libraries.name)
            staging.chmod(0o755)
            _rename_unless_made(staging, target)
        finally:
            shutil.rmtree(staging, ignore_errors=True)
    return target / package.name


def _rename_unless_made(staging: Path, target: Path) -> None:
    try:
        staging.rename(target)
    except OSError:
        # Another start was faster with the same content.
        if not target.is_dir():
            raise


def _shared_folder() -> Path:
    for folder in _SHARED_FOLDERS:
        try:
            folder.mkdir(mode=0o755, exist_ok=True)
            entry = folder.lstat()
        except OSError:
            continue
        # In a folder that others may write to, anybody could have put programs there for us to run.
        owned = stat.S_ISDIR(entry.st_mode) and entry.st_uid == 0
        if not owned or entry.st_mode & (stat.S_IWGRP | stat.S_IWOTH):
            continue
        folder.chmod(0o755)
        if os.access(folder, os.W_OK) and is_open_to_everybody(folder):
            return folder
    names = " nor ".join(str(folder) for folder in _SHARED_FOLDERS)
    raise EmbeddedServerError(
        f"PostgreSQL's programs must be copied to where `nobody` can run them, but neither {names} "
        "can be used: run as a normal user, or set DATABASE_URL."
    )


def _copy_tree(source: Path, target: Path) -> None:
    """Copies what a server needs, readable by everybody, without documentation and caches."""
    unneeded = shutil.ignore_patterns("__pycache__", "*.py", "*.a", "doc", "man", "include")
    shutil.copytree(source, target, ignore=unneeded, copy_function=_copy_readable, symlinks=True)
    for folder, _, _ in os.walk(target):
        Path(folder).chmod(0o755)


def _copy_readable(source: str, target: str) -> str:
    shutil.copyfile(source, target, follow_symlinks=False)
    if not Path(target).is_symlink():
        executable = Path(source).stat().st_mode & stat.S_IXUSR
        Path(target).chmod(0o755 if executable else 0o644)
    return target
