"""Compare the API to the one of the last release (tag v*), or say that there is none yet."""

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent


def last_release() -> str | None:
    """The nearest release tag before this commit; None when no release was made."""
    asked = subprocess.run(
        ["git", "describe", "--tags", "--abbrev=0", "--match", "v[0-9]*"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    return asked.stdout.strip() if asked.returncode == 0 else None


def main() -> int:
    tag = last_release()
    if tag is None:
        print("note: no release was tagged yet (v*), so there is nothing to compare to")
        return 0
    # Only our own module on both sides: buf refuses to compare workspaces of different shape.
    compared = subprocess.run(
        ["buf", "breaking", "protos", "--against", f".git#tag={tag},subdir=protos"],
        cwd=ROOT,
        check=False,
    )
    if compared.returncode == 0:
        print(f"note: compared to {tag}")
    return compared.returncode


if __name__ == "__main__":
    sys.exit(main())
