"""Generate the Python package `kongflow` from protos/, or with --check compare it to what stands.

Needs the tools of the development environment on PATH (`make protos`, `make stubs-fresh`).
"""

import argparse
import filecmp
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
PACKAGE = ROOT / "libs" / "protos" / "src" / "kongflow"


def generate(folder: Path) -> Path:
    """Write the whole package into an empty folder; return the package's path."""
    subprocess.run(["buf", "generate", "--output", str(folder)], cwd=ROOT, check=True)
    package = folder / PACKAGE.name
    for stub in package.rglob("*_pb2_grpc.pyi"):
        # The plugin writes a types file for every proto, also where there is no service and so
        # no module that the types could describe.
        if not stub.with_suffix(".py").exists():
            stub.unlink()
    for path in [package, *package.rglob("*")]:
        if path.is_dir():
            (path / "__init__.py").touch()
    (package / "py.typed").touch()
    return package


def files_below(folder: Path) -> set[Path]:
    """Relative paths of all files but compiled ones."""
    return {
        path.relative_to(folder)
        for path in folder.rglob("*")
        if path.is_file() and path.suffix != ".pyc"
    }


def differences(fresh: Path, standing: Path) -> list[str]:
    """One line for each file that is missing, stale or left over, in order of path."""
    fresh_files, standing_files = files_below(fresh), files_below(standing)
    found = [(path, "missing") for path in fresh_files - standing_files]
    found += [(path, "left over") for path in standing_files - fresh_files]
    found += [
        (path, "stale")
        for path in fresh_files & standing_files
        if not filecmp.cmp(fresh / path, standing / path, shallow=False)
    ]
    return [f"{kind}: {(standing / path).relative_to(ROOT)}" for path, kind in sorted(found)]


def replace(fresh: Path, standing: Path) -> None:
    """Make the standing package equal to the fresh one; equal files keep their times."""
    for path in files_below(standing) - files_below(fresh):
        (standing / path).unlink()
    for path in sorted(files_below(fresh)):
        target = standing / path
        if target.exists() and filecmp.cmp(fresh / path, target, shallow=False):
            continue
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(fresh / path, target)
    folders = (path for path in standing.rglob("*") if path.is_dir())
    for folder in sorted(folders, reverse=True):
        if not any(entry.name != "__pycache__" for entry in folder.iterdir()):
            shutil.rmtree(folder)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--check", action="store_true", help="change nothing, fail on differences")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        try:
            fresh = generate(Path(folder))
        except subprocess.CalledProcessError as error:
            return int(error.returncode)
        if arguments.check:
            found = differences(fresh, PACKAGE)
            for line in found:
                print(line)
            if found:
                print("the stubs are not what protos/ generates: run `make protos`")
            return 1 if found else 0
        replace(fresh, PACKAGE)
    return 0


if __name__ == "__main__":
    sys.exit(main())
