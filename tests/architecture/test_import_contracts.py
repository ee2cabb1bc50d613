"""The import contracts hold, each can be broken, and none forgets a context."""

import configparser
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
CONFIG = ROOT / ".importlinter"
SOURCES = (
    *sorted(ROOT.glob("libs/*/src")),
    *sorted(ROOT.glob("services/*/src")),
    ROOT / "cli" / "src",
)
CONTEXTS = tuple(sorted(path.name for path in (ROOT / "services").iterdir() if path.is_dir()))
OPTIONS_SHARED_BY_ALL = {"common"}


@dataclass(frozen=True)
class Planted:
    """A module with one import, and the contract (its id) that forbids it."""

    contract: str
    module: str
    imports: str

    @property
    def code(self) -> str:
        package, _, name = self.imports.rpartition(".")
        return f"from {package} import {name}\n" if package else f"import {name}\n"


def other_context(context: str) -> str:
    return "runs" if context != "runs" else "events"


def layers_contract(context: str) -> str:
    return "workerqueue-layers" if context == "workerqueue" else "layers"


def planted_in_context(context: str) -> list[Planted]:
    package = f"kongflow_{context}"
    other = other_context(context)
    layers = layers_contract(context)
    entry = f"kongflow.{other}.v1.{other}_service_pb2"
    return [
        Planted("contexts", f"{package}.adapters.planted_context", f"kongflow_{other}.domain"),
        Planted(layers, f"{package}.domain.planted_upward", f"{package}.application"),
        Planted(layers, f"{package}.application.planted_adapter", f"{package}.adapters"),
        Planted(layers, f"{package}.application.planted_servicer", f"{package}.rpc"),
        Planted(layers, f"{package}.rpc.planted_adapter", f"{package}.adapters"),
        Planted(layers, f"{package}.adapters.planted_servicer", f"{package}.rpc"),
        Planted(layers, f"{package}.adapters.planted_root", f"{package}.main"),
        Planted(layers, f"{package}.adapters.planted_settings", f"{package}.settings"),
        Planted("purity", f"{package}.domain.planted_database", "sqlalchemy"),
        Planted("purity", f"{package}.domain.planted_stub", f"kongflow.{context}.v1"),
        Planted("purity", f"{package}.application.planted_wire", "grpc"),
        Planted("purity", f"{package}.application.planted_queue", "arq"),
        Planted("purity", f"{package}.application.planted_message", "google.protobuf.struct_pb2"),
        Planted("purity", f"{package}.application.planted_chain", "kongflow_common.planted_driver"),
        Planted(f"{context}-stubs", f"{package}.rpc.planted_stub", entry),
    ]


PLANTED = [
    *(planted for context in CONTEXTS for planted in planted_in_context(context)),
    Planted("common", "kongflow_common.planted_context", "kongflow_runs.domain"),
    Planted("common", "kongflow_common.planted_command", "kongflow_cli"),
    Planted("filters", "kongflow_filters.planted_common", "kongflow_common.ids"),
    Planted("protocol", "kongflow_protocol.planted_common", "kongflow_common.ids"),
    Planted("common-stubs", "kongflow_common.planted_stub", "kongflow.runs.v1.run_pb2"),
    Planted(
        "common-stubs", "kongflow_common.planted_tenancy", "kongflow.tenancy.v1.environment_pb2"
    ),
    Planted("common-embedded", "kongflow_common.planted_server", "kongflow_embedded.postgres"),
    Planted("embedded", "kongflow_embedded.planted_common", "kongflow_common.errors"),
    Planted("cli", "kongflow_cli.planted_context", "kongflow_runs.domain"),
    Planted("cli", "kongflow_cli.planted_task", "kongflow.runs.tasks.v1.runs_tasks_service_pb2"),
]
# Imports that the contracts mean to allow; a contract that forbids too much is worked around.
ALLOWED = {
    "kongflow_events.adapters.allowed_stub": "kongflow.runs.internal.v1.runs_internal_service_pb2",
    "kongflow_events.rpc.allowed_envelope": "kongflow.workerqueue.v1.envelope_pb2",
    "kongflow_events.rpc.allowed_priority": "kongflow.workerqueue.v1.job_options_pb2",
    "kongflow_events.application.allowed_errors": "kongflow_common.errors",
    "kongflow_common.testing.allowed_server": "kongflow_embedded.postgres",
}


def load_contracts() -> configparser.ConfigParser:
    parser = configparser.ConfigParser()
    parser.read(CONFIG)
    return parser


def words(section: Mapping[str, str], option: str) -> set[str]:
    return set(section.get(option, "").split())


def copy_sources(target: Path) -> None:
    for source in SOURCES:
        shutil.copytree(
            source, target, dirs_exist_ok=True, ignore=shutil.ignore_patterns("__pycache__")
        )
    shutil.copyfile(CONFIG, target / CONFIG.name)


def write_module(target: Path, dotted: str, code: str) -> None:
    path = target.joinpath(*dotted.split(".")).with_suffix(".py")
    path.parent.mkdir(parents=True, exist_ok=True)
    for folder in path.relative_to(target).parents[:-1]:
        (target / folder / "__init__.py").touch()
    path.write_text(code)


def lint(target: Path) -> subprocess.CompletedProcess[str]:
    command = "import sys; from importlinter.cli import lint_imports_command as c; sys.exit(c())"
    return subprocess.run(
        [sys.executable, "-c", command, "--no-cache", "--config", CONFIG.name],
        cwd=target,
        env={**os.environ, "PYTHONPATH": str(target), "COLUMNS": "200", "NO_COLOR": "1"},
        capture_output=True,
        text=True,
        check=False,
        timeout=100,
    )


def broken_sections(report: str) -> dict[str, str]:
    """What the report says about each broken contract, by the contract's name."""
    _, _, details = report.partition("Broken contracts")
    parts = re.split(r"^(.+)\n-{3,}\n", details, flags=re.MULTILINE)
    return dict(zip(parts[1::2], parts[2::2], strict=True))


@pytest.fixture(scope="module")
def planted_report(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """One run over a copy in which everything is planted."""
    target = tmp_path_factory.mktemp("planted")
    copy_sources(target)
    for context in CONTEXTS:
        for folder in ("domain", "application", "adapters", "rpc"):
            write_module(target, f"kongflow_{context}.{folder}.planted", "")
        for module in ("main", "settings"):
            write_module(target, f"kongflow_{context}.{module}", "")
    write_module(target, "kongflow_common.planted_driver", "import psycopg\n")
    for planted in PLANTED:
        write_module(target, planted.module, planted.code)
    for module, imported in ALLOWED.items():
        write_module(target, module, Planted("", module, imported).code)
    for context in CONTEXTS:
        write_module(target, f"kongflow_{context}.planted_stray", "")
    ended = lint(target)
    assert ended.returncode == 1, ended.stdout + ended.stderr
    return broken_sections(ended.stdout)


def test_the_code_keeps_its_contracts(tmp_path: Path) -> None:
    copy_sources(tmp_path)
    ended = lint(tmp_path)
    assert ended.returncode == 0, ended.stdout + ended.stderr


@pytest.mark.parametrize("planted", PLANTED, ids=lambda one: f"{one.contract}:{one.module}")
def test_a_planted_violation_is_found(planted: Planted, planted_report: dict[str, str]) -> None:
    name = load_contracts()[f"importlinter:contract:{planted.contract}"]["name"]
    assert f"{planted.module} -> " in planted_report.get(name, ""), planted_report.get(name)


@pytest.mark.parametrize("context", CONTEXTS)
def test_a_module_outside_the_layers_is_found(context: str, planted_report: dict[str, str]) -> None:
    contracts = load_contracts()
    name = contracts[f"importlinter:contract:{layers_contract(context)}"]["name"]
    assert "planted_stray" in planted_report.get(name, "")


@pytest.mark.parametrize("module", ALLOWED)
def test_what_is_meant_to_be_allowed_is_allowed(
    module: str, planted_report: dict[str, str]
) -> None:
    assert not [name for name, text in planted_report.items() if f"{module} -> " in text]


def test_every_contract_was_seen_to_fail() -> None:
    sections = [name for name in load_contracts().sections() if ":contract:" in name]
    assert {name.rpartition(":")[2] for name in sections} == {one.contract for one in PLANTED}


@pytest.mark.parametrize("context", CONTEXTS)
def test_every_context_is_under_contract(context: str) -> None:
    contracts = load_contracts()
    package = f"kongflow_{context}"

    def listed(contract: str, option: str) -> set[str]:
        return words(contracts[f"importlinter:contract:{contract}"], option)

    assert package in words(contracts["importlinter"], "root_packages")
    assert package in listed("contexts", "modules")
    assert package in listed(layers_contract(context), "containers")
    for contract in ("common", "embedded", "cli"):
        assert package in listed(contract, "forbidden_modules")
    assert listed(f"{context}-stubs", "source_modules") == {package}
    others = {path.name for path in (ROOT / "protos" / "kongflow").iterdir()} - {context}
    wanted = {f"kongflow.{other}" for other in others - OPTIONS_SHARED_BY_ALL}
    assert listed(f"{context}-stubs", "forbidden_modules") == wanted


def test_kongflow_common_may_use_few_packages_of_stubs() -> None:
    packages = {
        ".".join(path.parent.relative_to(ROOT / "protos").parts)
        for path in (ROOT / "protos").rglob("*.proto")
    }
    section = load_contracts()["importlinter:contract:common-stubs"]
    forbidden = words(section, "forbidden_modules")
    allowed = {
        package
        for package in packages
        if not any(f"{package}.".startswith(f"{one}.") for one in forbidden)
    }
    assert allowed == {
        "kongflow.common.v1",
        "kongflow.events.internal.v1",
        "kongflow.tenancy.internal.v1",
        "kongflow.workerqueue.internal.v1",
        "kongflow.workerqueue.v1",
    }
