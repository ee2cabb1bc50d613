"""Copy the foreign .proto files that ours import from their locked wheel to third_party/.

Run after the lock files changed: `make vendor`. Their Python code comes from the same wheel and is
not generated again; their types are, into third_party/typings, because the wheel declares none.
"""

import json
import shutil
import subprocess
import sys
from importlib.metadata import distribution
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
DISTRIBUTION = "googleapis-common-protos"
TARGET = ROOT / "third_party" / "googleapis"
TYPINGS = ROOT / "third_party" / "typings"
PROTOS = ("google/rpc/code.proto", "google/rpc/error_details.proto", "google/rpc/status.proto")


def generate_typings() -> None:
    """Write the types of the copied files' modules."""
    shutil.rmtree(TYPINGS, ignore_errors=True)
    template = {
        "version": "v2",
        "inputs": [{"directory": str(TARGET.relative_to(ROOT))}],
        "plugins": [{"local": "protoc-gen-mypy", "out": ".", "opt": "quiet"}],
    }
    subprocess.run(
        ["buf", "generate", "--template", json.dumps(template), "--output", str(TYPINGS)],
        cwd=ROOT,
        check=True,
    )
    for folder in {path.parent for path in TYPINGS.rglob("*.pyi")}:
        # Without it mypy takes the folder of the untyped wheel.
        (folder / "__init__.pyi").touch()


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
    generate_typings()
    print(f"vendor: {len(PROTOS)} files of {DISTRIBUTION} {source.version}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
