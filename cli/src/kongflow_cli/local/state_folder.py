"""The folder that holds one development system: data, keys, ports, logs, and who runs it."""

import fcntl
import json
import os
import secrets
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from kongflow_cli.errors import CliError
from kongflow_embedded.processes import process_identity

DEFAULT_FOLDER = ".kongflow"


@dataclass(frozen=True, slots=True)
class ProcessMark:
    """A process, told from a later one with the same id."""

    pid: int
    identity: str

    @property
    def is_running(self) -> bool:
        """Whether that very process runs."""
        return process_identity(self.pid) == self.identity


@dataclass(frozen=True, slots=True)
class StateFolder:
    """Paths of one system, and the lock that lets one supervisor use them at a time."""

    path: Path

    @classmethod
    def at(cls, path: Path | None) -> "StateFolder":
        """Returns the state folder at `path`, or `.kongflow` in the working folder."""
        return cls((path or Path(DEFAULT_FOLDER)).absolute())

    @property
    def connection_file(self) -> Path:
        """How to reach the running system; exists while it is ready."""
        return self.path / "dev.json"

    @property
    def secret_file(self) -> Path:
        """Keys and passwords, made once."""
        return self.path / "secret"

    @property
    def ports_file(self) -> Path:
        """The ports chosen for this system."""
        return self.path / "ports.json"

    @property
    def outside_file(self) -> Path:
        """Which servers of the last start were not ours."""
        return self.path / "outside.json"

    @property
    def prepared_file(self) -> Path:
        """What was done to the database already."""
        return self.path / "prepared.json"

    @property
    def targets(self) -> Path:
        """A file per foreign target: how it reaches the worker queue, and in whose name."""
        return self.path / "targets"

    @property
    def logs(self) -> Path:
        """A log file per process."""
        return self.path / "logs"

    @property
    def postgres(self) -> Path:
        """PostgreSQL's folder."""
        return self.path / "postgres"

    @property
    def valkey(self) -> Path:
        """Valkey's folder."""
        return self.path / "valkey"

    @property
    def _lock_file(self) -> Path:
        return self.path / "lock"

    @property
    def _processes_file(self) -> Path:
        return self.path / "processes.json"

    @property
    def is_system(self) -> bool:
        """Whether the folder was made for a system, running or not."""
        return self._lock_file.exists()

    def make(self) -> None:
        """Makes the folder, closed to everybody else.

        Raises CliError if it cannot be used, or holds anything but a system.
        """
        try:
            self.path.mkdir(mode=0o700, parents=True, exist_ok=True)
            names = {each.name for each in self.path.iterdir()}
            # Made first of all, the lock tells a system from a folder of the user's.
            if names and self._lock_file.name not in names:
                raise CliError(
                    f"The folder {self.path} holds other things than a system; "
                    "name a new or an empty one."
                )
            self.path.chmod(0o700)
            self._lock_file.touch(mode=0o600)
            self.logs.mkdir(mode=0o700, exist_ok=True)
        except OSError as error:
            raise CliError(
                f"The state folder {self.path} cannot be used: {error.strerror}."
            ) from None

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Holds the folder for this process; raises CliError when another system runs in it."""
        try:
            descriptor = os.open(self._lock_file, os.O_RDWR | os.O_CREAT, 0o600)
        except OSError as error:
            raise CliError(
                f"The state folder {self.path} cannot be used: {error.strerror}."
            ) from None
        try:
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                holder = self.supervisor()
                who = f" (process {holder.pid})" if holder else ""
                raise CliError(
                    f"A system already runs in {self.path}{who}; `kongflow down` ends it."
                ) from None
            mark = {"pid": os.getpid(), "identity": process_identity(os.getpid())}
            os.ftruncate(descriptor, 0)
            os.pwrite(descriptor, json.dumps(mark).encode(), 0)
            try:
                yield
            finally:
                os.ftruncate(descriptor, 0)
        finally:
            os.close(descriptor)

    def supervisor(self) -> ProcessMark | None:
        """Returns the process that holds this folder; None when no system runs in it."""
        content = read_json(self._lock_file)
        mark = _mark(content)
        return mark if mark is not None and mark.is_running else None

    def record_processes(self, pids: Mapping[str, int]) -> None:
        """Writes down the processes that were started, for a start after a crash."""
        marks = {
            name: {"pid": pid, "identity": process_identity(pid)} for name, pid in pids.items()
        }
        write_private(self._processes_file, json.dumps(marks))

    def leftovers(self) -> dict[str, ProcessMark]:
        """Returns the processes of an earlier supervisor that still run."""
        content = read_json(self._processes_file)
        marks = {name: _mark(value) for name, value in content.items()}
        return {name: mark for name, mark in marks.items() if mark is not None and mark.is_running}


def _mark(content: object) -> ProcessMark | None:
    match content:
        case {"pid": int(pid), "identity": str(identity)}:
            return ProcessMark(pid, identity)
        case _:
            return None


def read_json(path: Path) -> dict[str, object]:
    """Returns the object in a JSON file; an empty one when there is none.

    A file cut off by a crash counts as none: what these files hold can be made again.
    """
    try:
        content = json.loads(path.read_bytes())
    except (FileNotFoundError, ValueError):
        return {}
    except OSError as error:
        raise CliError(f"{path} cannot be read: {error.strerror}.") from None
    return content if isinstance(content, dict) else {}


def write_private(path: Path, text: str) -> None:
    """Writes a file of mode 0600 in one step: readers see the old content or the new."""
    draft = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        with os.fdopen(descriptor, "w") as target:
            target.write(text)
            target.flush()
            os.fsync(target.fileno())
        draft.replace(path)
    except BaseException:
        draft.unlink(missing_ok=True)
        raise
