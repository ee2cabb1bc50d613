"""Copy the foreign .proto files that ours import from their locked wheel to third_party/.

Run after the lock files changed: `make vendor`. Their Python code comes from the same wheel and is
not generated again.
"""

import shutil
import sys
from importlib.metadata import distribution
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
DISTRIBUTION = "googleapis-common-protos"
TARGET = ROOT / "third_party" / "googleapis"
PROTOS = ("google/rpc/error_details.proto", "google/rpc/status.proto")


def main() -> int:
    source = distribution(DISTRIBUTION)
    licences = [path for path in source.files or () if path.name == "LICENSE"]
    if len(licences) != 1:
        print(f"vendor: {DISTRIBUTION} has {len(licences)} licence files", file=sys.stderr)
        return 1
    shutil.rmtree(TARGET, ignore_errors=True)
    for name in PROTOS:
        copy = TARGET / name
        copy.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(Path(str(source.locate_file(name))), copy)
    shutil.copyfile(Path(str(source.locate_file(licences[0]))), TARGET / "LICENSE")
    (TARGET / "README.md").write_text(
        f"Copied unchanged from the distribution {DISTRIBUTION} by `make vendor`"
        " (its version stands in requirements.lock). Licence: LICENSE.\n"
    )
    print(f"vendor: {len(PROTOS)} files of {DISTRIBUTION} {source.version}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
