"""Write requirements.lock and build.lock from what the packages of this repository declare.

A pin that still fits is kept; `--upgrade NAME` renews one, `--upgrade-all` all. The files name no
registry: what is installed is decided by the hashes, where it is fetched from by the machine.
"""

import argparse
import subprocess
import sys
import tomllib
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
OLDEST_PYTHON = "3.11"


def member_projects() -> list[Path]:
    """The pyproject.toml of every package of this repository, relative to its root."""
    patterns = ("libs/*/pyproject.toml", "services/*/pyproject.toml", "cli/pyproject.toml")
    return sorted(path.relative_to(ROOT) for pattern in patterns for path in ROOT.glob(pattern))


def distribution_name(project: Path) -> str:
    name = tomllib.loads((ROOT / project).read_text())["project"]["name"]
    if not isinstance(name, str):
        raise TypeError(f"{project}: project.name is not a string")
    return name


def resolve(output: str, sources: list[str], options: list[str]) -> None:
    """Resolve for every Python and platform that we support, into a file without hosts."""
    command = ["uv", "pip", "compile", "--quiet", "--universal", "--python-version", OLDEST_PYTHON]
    command += ["--generate-hashes", "--no-header", "--no-annotate", "--no-emit-index-url"]
    subprocess.run([*command, *options, *sources, "--output-file", output], cwd=ROOT, check=True)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--upgrade", action="append", default=[], metavar="NAME")
    parser.add_argument("--upgrade-all", action="store_true")
    arguments = parser.parse_args()
    renewal = [word for name in arguments.upgrade for word in ("--upgrade-package", name)]
    if arguments.upgrade_all:
        renewal.append("--upgrade")
    projects = member_projects()
    own = [word for path in projects for word in ("--no-emit-package", distribution_name(path))]
    sources = ["pyproject.toml", *(str(path) for path in projects)]
    try:
        options = ["--all-extras", "--group", "dev", *own, *renewal]
        resolve("requirements.lock", sources, options)
        # Both files are installed by one command, so they must agree on what they share.
        resolve("build.lock", ["build.in"], ["--constraints", "requirements.lock", *renewal])
    except subprocess.CalledProcessError as error:
        return int(error.returncode)
    return 0


if __name__ == "__main__":
    sys.exit(main())
