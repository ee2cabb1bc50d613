"""A service config beside protos says of each of their methods how long it takes, and who repeats.

It is found by service and method names that nobody checks: a method that is missing has no
deadline, and one that is misspelt is never found.
"""

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

PROTOS = Path(__file__).resolve().parents[2] / "protos"
CONFIGS = sorted(PROTOS.rglob("*_grpc_service_config.json"))

SERVICE = re.compile(r"^service (\w+) \{$(.*?)^\}$", re.MULTILINE | re.DOTALL)
METHOD = re.compile(
    r"(?P<comment>(?:^  //[^\n]*\n)+)"
    r"  rpc (?P<name>\w+)\((?P<takes>stream )?\w+\) returns \((?P<answers>stream )?\w+\) \{"
    r"(?P<options>.*?)^  \}$",
    re.MULTILINE | re.DOTALL,
)


@dataclass(frozen=True)
class Method:
    """What the protos say of a method."""

    service: str
    name: str
    comment: str
    is_stream: bool
    only_reads: bool

    @property
    def may_be_repeated(self) -> bool:
        return not self.is_stream and (self.only_reads or "Idempotent" in self.comment)


def methods(folder: Path) -> Iterator[Method]:
    package = ".".join(folder.relative_to(PROTOS).parts)
    for proto in sorted(folder.glob("*_service.proto")):
        for service, body in SERVICE.findall(proto.read_text()):
            assert body.count("\n  rpc ") == len(METHOD.findall(body)), f"{proto}: {service}"
            for found in METHOD.finditer(body):
                yield Method(
                    service=f"{package}.{service}",
                    name=found["name"],
                    comment=found["comment"],
                    is_stream=bool(found["takes"] or found["answers"]),
                    only_reads=':read"' in found["options"],
                )


def entries(config: Path) -> dict[tuple[str, str], dict[str, Any]]:
    """The entries by service and method, the latter empty for that of the whole service."""
    found: dict[tuple[str, str], dict[str, Any]] = {}
    for entry in json.loads(config.read_text())["methodConfig"]:
        for name in entry["name"]:
            key = (name["service"], name.get("method", ""))
            assert key not in found, f"{key} is named twice"
            found[key] = entry
    return found


def test_there_are_configs() -> None:
    assert [config.name for config in CONFIGS] == ["events_grpc_service_config.json"]


@pytest.mark.parametrize("config", CONFIGS, ids=lambda path: path.name)
def test_every_service_and_no_other_has_its_entry(config: Path) -> None:
    declared = list(methods(config.parent))
    names = {(method.service, method.name) for method in declared}
    services = {(method.service, "") for method in declared}
    found = set(entries(config))
    assert services <= found
    assert found - services <= names


@pytest.mark.parametrize("config", CONFIGS, ids=lambda path: path.name)
def test_only_what_may_be_repeated_is_repeated(config: Path) -> None:
    found = entries(config)
    repeated = set()
    for method in methods(config.parent):
        key = (method.service, method.name)
        entry = found.get(key, found[method.service, ""])
        assert ("timeout" in entry) is not method.is_stream, method
        if "retryPolicy" in entry:
            assert method.may_be_repeated, method
            repeated.add(key)
    reading = {
        (method.service, method.name)
        for method in methods(config.parent)
        if method.only_reads and not method.is_stream
    }
    assert reading <= repeated
