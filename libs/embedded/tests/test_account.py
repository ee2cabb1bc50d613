"""Running PostgreSQL as root from places that the unprivileged account cannot enter."""

import os
import shutil
import stat
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from kongflow_embedded import account
from kongflow_embedded.account import is_open_to_everybody, unprivileged_account
from kongflow_embedded.binaries import PostgresBinaries, find_postgres
from kongflow_embedded.errors import EmbeddedServerError
from kongflow_embedded.launch import start, stop
from kongflow_embedded.ports import free_ports
from kongflow_embedded.postgres import PostgresServer

as_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root needs another account")


@pytest.fixture
def shared_folder(monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Where programs are copied to; the folder above is open to everybody."""
    with tempfile.TemporaryDirectory(dir="/var/tmp") as folder:
        Path(folder).chmod(0o755)
        monkeypatch.setattr(account, "_SHARED_FOLDERS", (Path(folder) / "kongflow",))
        yield Path(folder) / "kongflow"


@pytest.fixture
def private_binaries(tmp_path: Path) -> PostgresBinaries:
    """The PostgreSQL package in a site folder below a home of mode 0700."""
    found = find_postgres()
    assert found.package is not None
    site = tmp_path / "home" / "site"
    site.mkdir(parents=True)
    site.parent.chmod(0o700)
    for folder in (found.package, found.libraries):
        if folder is not None:
            shutil.copytree(folder, site / folder.name, copy_function=os.link)
    package = site / found.package.name
    return PostgresBinaries(package / found.bin_folder.relative_to(found.package), package)


def prepare_and_run(folder: Path, binaries: PostgresBinaries) -> int:
    server = PostgresServer(
        folder=folder,
        port=free_ports(1)[0],
        password="secret",
        binaries=binaries,
        sync_new_files=False,
    )
    server.prepare()
    process = start(server.launch())
    try:
        server.wait_ready(20, lambda: process.poll() is None)
        return Path(f"/proc/{process.pid}").stat().st_uid
    finally:
        stop(process, server.launch().stop_signal)


@as_root
def test_programs_below_a_closed_home_are_copied_once_and_the_home_stays_closed(
    shared_folder: Path, private_binaries: PostgresBinaries, tmp_path: Path
) -> None:
    used = unprivileged_account()
    assert used is not None
    assert prepare_and_run(tmp_path / "home" / "state", private_binaries) == used.uid
    (copy,) = shared_folder.iterdir()
    made = copy.stat().st_ino
    assert prepare_and_run(tmp_path / "home" / "state", private_binaries) == used.uid
    assert [entry.stat().st_ino for entry in shared_folder.iterdir()] == [made]
    assert stat.S_IMODE((tmp_path / "home").stat().st_mode) == 0o700
    assert not is_open_to_everybody(private_binaries.bin_folder)


@as_root
def test_a_shared_folder_that_others_may_write_to_is_not_trusted(
    shared_folder: Path, private_binaries: PostgresBinaries, tmp_path: Path
) -> None:
    shared_folder.mkdir()
    shared_folder.chmod(0o777)
    with pytest.raises(EmbeddedServerError, match="run as a normal user"):
        prepare_and_run(tmp_path / "home" / "state", private_binaries)
    assert list(shared_folder.iterdir()) == []


@as_root
def test_a_shared_folder_of_somebody_else_is_not_trusted(
    shared_folder: Path, private_binaries: PostgresBinaries, tmp_path: Path
) -> None:
    shared_folder.mkdir()
    os.chown(shared_folder, 12345, 12345)
    with pytest.raises(EmbeddedServerError, match="run as a normal user"):
        prepare_and_run(tmp_path / "home" / "state", private_binaries)


@pytest.mark.skipif(os.geteuid() == 0, reason="root needs another account")
def test_a_normal_user_runs_servers_as_itself() -> None:
    assert unprivileged_account() is None


def test_a_user_without_a_name_is_told_what_postgresql_lacks(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 2_000_000_123)
    with pytest.raises(EmbeddedServerError, match="user 2000000123, which has no name"):
        unprivileged_account()
