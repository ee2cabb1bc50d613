"""Descriptor sets of foreign targets, compiled as their owners would."""

import textwrap
from importlib import resources
from pathlib import Path

from grpc_tools import protoc

ROOT = Path(__file__).parents[3]


def compile_descriptor_set(folder: Path, name: str, source: str) -> Path:
    """Compile a proto file `name`, with all that it imports; return where the set is."""
    (folder / f"{name}.proto").write_text(textwrap.dedent(source).lstrip())
    path = folder / f"{name}.binpb"
    arguments = [
        "protoc",
        f"-I{folder}",
        f"-I{ROOT / 'protos'}",
        f"-I{ROOT / 'third_party' / 'googleapis'}",
        f"-I{resources.files('grpc_tools') / '_proto'}",
        "--include_imports",
        f"--descriptor_set_out={path}",
        f"{name}.proto",
    ]
    assert protoc.main(arguments) == 0
    return path
