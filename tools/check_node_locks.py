"""Check the locks of the repository's Node programs, without a network.

Found here: a lock that names a host, a package with a place to fetch it from or without a hash, a
declared version that is a range, a lock that holds another version than the one declared, a folder
without lock or .npmrc.
"""

import json
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
EXACT = re.compile(r"\d+\.\d+\.\d+(?:-[\w.]+)?")
# Without it npm writes the registry's address into the lock.
NO_HOSTS = "omit-lockfile-registry-resolved=true"


def node_folders() -> list[Path]:
    """Where a package.json is tracked, or is about to be."""
    command = ["git", "ls-files", "--cached", "--others", "--exclude-standard", "-z"]
    listed = subprocess.run([*command, "*package.json"], cwd=ROOT, capture_output=True, check=True)
    names = listed.stdout.decode().split("\0")
    return sorted(ROOT / Path(name).parent for name in names if name)


def package_problems(packages: dict[str, Any]) -> Iterator[str]:
    for path, package in packages.items():
        if path == "":
            continue
        if "resolved" in package:
            yield f"{path} names a place to fetch from"
        if not str(package.get("integrity", "")).startswith("sha512-"):
            yield f"{path} has no hash"


def declaration_problems(declared: dict[str, Any], packages: dict[str, Any]) -> Iterator[str]:
    wanted = {**declared.get("dependencies", {}), **declared.get("devDependencies", {})}
    for name, version in sorted(wanted.items()):
        locked = packages.get(f"node_modules/{name}", {}).get("version")
        if not EXACT.fullmatch(version):
            yield f"{name} {version} is not pinned to one version"
        elif locked != version:
            yield f"declared is {name} {version}, locked is {locked}"
    for name, version in sorted(declared.get("overrides", {}).items()):
        for path, package in packages.items():
            if path.endswith(f"node_modules/{name}") and package["version"] != version:
                yield f"{path} is {package['version']}, overridden is {version}"


def folder_problems(folder: Path) -> Iterator[str]:
    settings, lock = folder / ".npmrc", folder / "package-lock.json"
    if not settings.is_file() or NO_HOSTS not in settings.read_text().splitlines():
        yield f".npmrc does not say {NO_HOSTS}"
    if not lock.is_file():
        yield "has no package-lock.json: run `make lock-node`"
        return
    declared = json.loads((folder / "package.json").read_text())
    packages = json.loads(lock.read_text())["packages"]
    if "://" in lock.read_text():
        yield "its package-lock.json names a host: run `make lock-node`"
    yield from package_problems(packages)
    yield from declaration_problems(declared, packages)


def main() -> int:
    problems = [
        f"{folder.relative_to(ROOT)}: {problem}"
        for folder in node_folders()
        for problem in folder_problems(folder)
    ]
    for problem in problems:
        print(problem)
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
