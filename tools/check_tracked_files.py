"""Check that no tracked file names a machine's own paths or a package registry, or is large."""

import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
# Foreign text, copied unchanged.
SKIPPED = ("third_party/", "LICENSE")
LARGEST_BYTES = 1_000_000

# Written so that this file does not match itself.
FORBIDDEN = (
    (re.compile(r"(?<![\w.$}-])/(?:work|root|Users)/\w"), "a path of one machine"),
    (re.compile(r"(?<![\w.$}-])/home/(?!nonroot\b|kongflow\b)\w"), "a path of one machine"),
    (
        re.compile(r"pypi\.(?:org|python)|pythonhosted\.|registry\.npmjs|deb\.debian\."),
        "a registry",
    ),
    (re.compile(r"--(?:extra-)?index-url[ =]\S|(?:PIP|UV)_(?:EXTRA_)?INDEX_URL="), "a registry"),
)


def tracked_files() -> list[Path]:
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, check=True)
    names = listed.stdout.decode().split("\0")
    return [Path(name) for name in names if name and not name.startswith(SKIPPED)]


def problems(path: Path) -> Iterator[str]:
    """One line per finding of a file; a file deleted but not yet committed has none."""
    try:
        content = (ROOT / path).read_bytes()
    except FileNotFoundError:
        return
    if len(content) > LARGEST_BYTES:
        yield f"{path}: {len(content)} bytes, at most {LARGEST_BYTES} are meant to be tracked"
    if b"\0" in content:
        return
    for number, line in enumerate(content.decode(errors="replace").splitlines(), start=1):
        for pattern, what in FORBIDDEN:
            if pattern.search(line):
                yield f"{path}:{number}: names {what}: {line.strip()[:120]}"


def main() -> int:
    found = [problem for path in tracked_files() for problem in problems(path)]
    for problem in found:
        print(problem)
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
