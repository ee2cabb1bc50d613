"""Check the lock files and the environment against each other and against what is declared.

Needs no network. Found here: a host in a lock file, a requirement without hashes, a declared
dependency that the lock does not satisfy, a locked package that nothing needs, an environment that
differs from the lock, and an import that its package does not declare.
"""

import ast
import importlib.metadata
import re
import subprocess
import sys
import tomllib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).resolve().parent.parent
LOCK_FILES = ("build.lock", "requirements.lock")
# What is installed beside the environment, never into it: only hosts and pins are looked at.
SEPARATE_LOCK_FILES = ("bench/queue/peers.lock",)


def canonical(name: str) -> str:
    """A distribution's name in the form in which two spellings of it are equal."""
    return canonicalize_name(name)


@dataclass(frozen=True)
class Locked:
    """One entry of a lock file: a pinned requirement and how many hashes it has."""

    requirement: Requirement
    hashes: int

    @property
    def version(self) -> str:
        return next(iter(self.requirement.specifier)).version

    def applies_here(self) -> bool:
        return self.requirement.marker is None or self.requirement.marker.evaluate()


@dataclass
class Member:
    """A package of this repository and what its pyproject.toml declares."""

    name: str
    folder: Path
    runtime: list[Requirement]
    optional: dict[str, list[Requirement]] = field(default_factory=dict)

    def declared(self) -> list[Requirement]:
        return self.runtime + [one for group in self.optional.values() for one in group]


def read_lock(name: str) -> list[Locked]:
    """Parse a lock file; an entry spans a line and its continuations."""
    text = (ROOT / name).read_text().replace("\\\n", " ")
    entries = []
    for line in text.splitlines():
        if not line.strip() or line.startswith("#"):
            continue
        requirement, *hashes = re.split(r"\s--hash=", line)
        entries.append(Locked(Requirement(requirement.strip()), len(hashes)))
    return entries


def read_members() -> list[Member]:
    patterns = ("libs/*/pyproject.toml", "services/*/pyproject.toml", "cli/pyproject.toml")
    members = []
    for path in sorted(path for pattern in patterns for path in ROOT.glob(pattern)):
        project = tomllib.loads(path.read_text())["project"]
        optional = project.get("optional-dependencies", {})
        members.append(
            Member(
                name=canonical(project["name"]),
                folder=path.parent,
                runtime=[Requirement(text) for text in project["dependencies"]],
                optional={
                    extra: [Requirement(text) for text in texts]
                    for extra, texts in optional.items()
                },
            )
        )
    return members


def development_requirements() -> list[Requirement]:
    """What the repository's own checks and tests declare, and what builds the packages."""
    groups = tomllib.loads((ROOT / "pyproject.toml").read_text())["dependency-groups"]
    texts = [*groups["dev"], *(ROOT / "build.in").read_text().splitlines()]
    return [Requirement(text) for text in texts if text and not text.startswith("#")]


def host_problems() -> Iterator[str]:
    for name in (*LOCK_FILES, *SEPARATE_LOCK_FILES):
        for number, line in enumerate((ROOT / name).read_text().splitlines(), start=1):
            if "://" in line or line.startswith("-"):
                yield f"{name}:{number}: names a place to fetch from: {line.strip()}"


def pin_problems(lock: Iterable[Locked]) -> Iterator[str]:
    for entry in lock:
        operators = [specifier.operator for specifier in entry.requirement.specifier]
        if operators != ["=="]:
            yield f"{entry.requirement} is not pinned to one version"
        if not entry.hashes:
            yield f"{entry.requirement} has no hash"


def declaration_problems(
    lock: dict[str, Locked], members: list[Member], others: list[Requirement]
) -> Iterator[str]:
    own = {member.name for member in members}
    declared = [(member.name, one) for member in members for one in member.declared()]
    for owner, requirement in [*declared, *(("the workspace", one) for one in others)]:
        name = canonical(requirement.name)
        if name in own:
            continue
        if name not in lock:
            yield f"{owner} declares {requirement}, which no lock file holds: run `make lock`"
        elif not requirement.specifier.contains(lock[name].version, prereleases=True):
            locked = lock[name].requirement
            yield f"{owner} declares {requirement}, but locked is {locked}: run `make lock`"


def environment_problems(lock: dict[str, Locked], members: list[Member]) -> Iterator[str]:
    installed = {
        canonical(found.name): found.version for found in importlib.metadata.distributions()
    }
    wanted = {name: entry.version for name, entry in lock.items() if entry.applies_here()}
    own = {member.name for member in members}
    for name, version in sorted(wanted.items()):
        if installed.get(name) != version:
            yield f"locked is {name} {version}, installed is {installed.get(name)}"
    for name in sorted(own - installed.keys()):
        yield f"{name} is not installed"
    for name in sorted(installed.keys() - wanted.keys() - own):
        yield f"{name} {installed[name]} is installed, but not locked"


def needed(roots: Iterable[Requirement]) -> set[str]:
    """Names of all distributions that the given requirements lead to on this machine."""
    reached: set[tuple[str, str]] = set()
    waiting = [(one, "") for one in roots]
    while waiting:
        requirement, extra = waiting.pop()
        if requirement.marker and not requirement.marker.evaluate({"extra": extra}):
            continue
        name = canonical(requirement.name)
        for wanted in ("", *requirement.extras):
            if (name, wanted) in reached:
                continue
            reached.add((name, wanted))
            texts = importlib.metadata.requires(name) or []
            waiting += [(Requirement(text), wanted) for text in texts]
    return {name for name, _ in reached}


def surplus_problems(
    lock: dict[str, Locked], members: list[Member], others: list[Requirement]
) -> Iterator[str]:
    declared = [one for member in members for one in member.declared()]
    kept = needed([*declared, *others])
    for name, entry in sorted(lock.items()):
        if entry.applies_here() and name not in kept:
            yield f"locked is {entry.requirement}, but nothing needs it: run `make lock`"


def imported_names(path: Path) -> Iterator[tuple[int, str]]:
    """Line and dotted name of every absolute import of a file."""
    for node in ast.walk(ast.parse(path.read_bytes(), filename=str(path))):
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield node.lineno, alias.name
        elif isinstance(node, ast.ImportFrom) and node.module and node.level == 0:
            yield node.lineno, node.module
            for alias in node.names:
                yield node.lineno, f"{node.module}.{alias.name}"


def import_owners() -> dict[str, set[str]]:
    """Which distributions provide a module, by its dotted name.

    `google` is shared by many distributions, so its members are listed one level further down.
    """
    owners: dict[str, set[str]] = {}
    for found in importlib.metadata.distributions():
        name = canonical(found.name)
        for file in found.files or ():
            if file.suffix not in {".py", ".so"} or ".." in file.parts:
                continue
            depth = 2 if file.parts[0] == "google" else 1
            module = ".".join(part.split(".")[0] for part in file.parts[:depth])
            owners.setdefault(module, set()).add(name)
    for member in (ROOT / "libs").glob("*/src/*"), (ROOT / "services").glob("*/src/*"):
        for folder in member:
            distribution = "kongflow-protos" if folder.name == "kongflow" else folder.name
            owners[folder.name] = {canonical(distribution)}
    return owners


def undeclared_import_problems(members: list[Member]) -> Iterator[str]:
    owners = import_owners()
    for member in members:
        declared = {canonical(one.name) for one in member.declared()} | {member.name}
        for path in sorted((member.folder / "src").rglob("*.py")):
            reported: set[str] = set()
            for line, dotted in imported_names(path):
                parts = dotted.split(".")
                module = ".".join(parts[:2]) if parts[0] == "google" else parts[0]
                missing = owners.get(module)
                if missing is None or module in reported or missing & declared:
                    continue
                reported.add(module)
                place = f"{path.relative_to(ROOT)}:{line}"
                yield f"{place}: {member.name} does not declare {' or '.join(sorted(missing))}"


def consistency_problems() -> Iterator[str]:
    """What the installed packages themselves say they need and do not find."""
    asked = subprocess.run(
        ["uv", "pip", "check", "--python", sys.executable],
        capture_output=True,
        text=True,
        check=False,
    )
    if asked.returncode != 0:
        yield asked.stderr.strip() or asked.stdout.strip()


def problems_found() -> list[str]:
    """All problems, in an order in which each kind may rely on the ones before being absent."""
    entries = [entry for name in LOCK_FILES for entry in read_lock(name)]
    separate = [entry for name in SEPARATE_LOCK_FILES for entry in read_lock(name)]
    if found := [*host_problems(), *pin_problems([*entries, *separate])]:
        return found
    lock = {canonical(entry.requirement.name): entry for entry in entries}
    members = read_members()
    others = development_requirements()
    found = [
        *declaration_problems(lock, members, others),
        *environment_problems(lock, members),
        *undeclared_import_problems(members),
        *consistency_problems(),
    ]
    return found or list(surplus_problems(lock, members, others))


def main() -> int:
    problems = problems_found()
    for problem in problems:
        print(problem)
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
