"""No file and no function grows beyond what is read in one go."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
LONGEST_FILE = 400
LONGEST_FUNCTION = 60
FOLDERS = ("bench", "cli", "libs", "services", "tests", "tools")
GENERATED = ROOT / "libs" / "protos" / "src"


def python_files() -> Iterator[Path]:
    for folder in FOLDERS:
        for path in sorted((ROOT / folder).rglob("*.py")):
            if GENERATED not in path.parents:
                yield path


def lines_of(node: ast.AST) -> int:
    """Lines of a function's body, without its docstring and decorators."""
    if not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) or node.end_lineno is None:
        return 0
    first = node.body[0]
    is_docstring = isinstance(first, ast.Expr) and isinstance(first.value, ast.Constant)
    body = node.body[1:] if is_docstring else node.body
    return node.end_lineno - body[0].lineno + 1 if body else 0


def is_migration(path: Path) -> bool:
    # A migration is one long list of statements and is never read for its structure.
    return path.parent.name == "versions"


@pytest.mark.parametrize("path", list(python_files()), ids=lambda path: str(path.relative_to(ROOT)))
def test_file_is_read_in_one_go(path: Path) -> None:
    text = path.read_text()
    if not is_migration(path):
        assert len(text.splitlines()) <= LONGEST_FILE
    long = [
        f"{node.name} ({lines_of(node)} lines)"
        for node in ast.walk(ast.parse(text))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        and lines_of(node) > LONGEST_FUNCTION
        and not is_migration(path)
    ]
    assert not long
