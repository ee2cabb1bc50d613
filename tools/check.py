"""Run the repository's static checks: one line each, and the full output of those that failed.

`python tools/check.py` runs all, `python tools/check.py NAME ...` some. Needs the tools of the
development environment on PATH (`make check`).
"""

import argparse
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
PYTHON_FOLDERS = ("libs", "services", "cli", "bench", "tests", "tools")
TIMEOUT_SECONDS = 900


@dataclass(frozen=True)
class Check:
    """A command that exits 0 when all is well, and what it shows then."""

    name: str
    shows: str
    command: tuple[str, ...]


@dataclass(frozen=True)
class Result:
    """How a check ended. `output` is what it printed."""

    check: Check
    passed: bool
    seconds: float
    output: str


def python_folders() -> tuple[str, ...]:
    """The folders that hold Python code, of those that exist."""
    return tuple(
        folder for folder in PYTHON_FOLDERS if next((ROOT / folder).rglob("*.py"), None) is not None
    )


def checks() -> tuple[Check, ...]:
    """All checks, slow ones first so that they run beside the quick ones."""
    python = sys.executable
    folders = python_folders()
    # A program whose name is no module name is not found by walking its folder.
    types = (*folders, "tools/protoc-gen-grpc-python.py")
    return (
        Check("types", "mypy --strict over code and tests", ("mypy", *types)),
        Check(
            "migrations",
            "models equal migrations, each of which goes up and down",
            (python, "tools/check_migrations.py"),
        ),
        Check("imports", "who may import whom", ("lint-imports",)),
        Check(
            "security",
            "bandit",
            # Low confidence: every SQL text that is put together from constants.
            (
                "bandit",
                *("--quiet", "--recursive", "--confidence-level=medium"),
                *("--configfile=pyproject.toml", *folders),
            ),
        ),
        Check("format", "ruff format", ("ruff", "format", "--check", "--quiet", ".")),
        Check("lint", "ruff check", ("ruff", "check", "--output-format=concise", ".")),
        Check("protos", "buf lint", ("buf", "lint")),
        Check(
            "breaking",
            "the API against the last release",
            (python, "tools/check_breaking.py"),
        ),
        Check(
            "stubs-fresh",
            "the stubs are what protos/ generates",
            (python, "tools/generate_stubs.py", "--check"),
        ),
        Check(
            "kinds-page",
            "docs/kinds.md says what the protos declare",
            (python, "tools/generate_kinds_page.py", "--check"),
        ),
        Check(
            "locks",
            "no host in them; environment, declarations and imports agree with them",
            (python, "tools/check_locks.py"),
        ),
        Check(
            "node-locks",
            "no host in them, each package with its hash, as declared",
            (python, "tools/check_node_locks.py"),
        ),
        Check(
            "tracked-files",
            "no machine's path, no registry, no large file",
            (python, "tools/check_tracked_files.py"),
        ),
    )


def run(check: Check) -> Result:
    """Run one check; one that outlasts its time has failed."""
    started = time.monotonic()
    try:
        ended = subprocess.run(
            check.command,
            cwd=ROOT,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=TIMEOUT_SECONDS,
            check=False,
        )
        passed, output = ended.returncode == 0, ended.stdout
    except subprocess.TimeoutExpired as error:
        printed = error.stdout or ""
        if isinstance(printed, bytes):
            printed = printed.decode(errors="replace")
        passed, output = False, f"{printed}\nnot done after {TIMEOUT_SECONDS} s\n"
    except FileNotFoundError as error:
        passed, output = False, f"{error}\n"
    return Result(check, passed, time.monotonic() - started, output)


def run_all(chosen: tuple[Check, ...]) -> Iterator[Result]:
    """Run checks side by side and give each result as it comes."""
    with ThreadPoolExecutor(max_workers=min(4, os.cpu_count() or 1)) as pool:
        for future in as_completed([pool.submit(run, check) for check in chosen]):
            yield future.result()


def report(result: Result) -> None:
    word = "ok" if result.passed else "FAILED"
    print(f"{result.check.name:<14} {word:<7} {result.check.shows} ({result.seconds:.1f} s)")
    last_line = result.output.strip().rpartition("\n")[2]
    if not result.passed:
        print(result.output.rstrip() or "(no output)")
    elif last_line.startswith("note: "):
        print(f"{'':<14} {last_line}")
    sys.stdout.flush()


def main() -> int:
    known = {check.name: check for check in checks()}
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME", help=", ".join(known))
    names = parser.parse_args().names or list(known)
    if unknown := [name for name in names if name not in known]:
        parser.error(f"no such check: {', '.join(unknown)}; there are: {', '.join(known)}")
    failed = []
    for result in run_all(tuple(known[name] for name in names)):
        report(result)
        if not result.passed:
            failed.append(result.check.name)
    if failed:
        print(f"check: FAILED: {', '.join(failed)}")
        return 1
    print(f"check: {len(names)} ok")
    return 0


if __name__ == "__main__":
    sys.exit(main())
