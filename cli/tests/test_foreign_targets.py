"""Services of the user that `kongflow up` joins to its worker queue."""

import json
import stat
from pathlib import Path

import pytest

from kongflow_cli.errors import CliError
from kongflow_cli.local.foreign_targets import (
    ForeignTarget,
    foreign_targets,
    write_identities,
)
from kongflow_cli.local.outside_servers import OutsideServers
from kongflow_cli.local.program import ServiceProgram
from kongflow_cli.local.secret_file import load_or_make
from kongflow_cli.local.state_folder import StateFolder
from kongflow_cli.local.system_plan import (
    CONTEXTS,
    PORT_NAMES,
    TASK_CONTEXTS,
    PlanInputs,
    plan_system,
)

OWN = {*CONTEXTS, "worker"}


def named(targets: object, sets: object) -> dict[str, str]:
    return {
        "KONGFLOW_TASK_TARGETS": json.dumps(targets),
        "KONGFLOW_TASK_DESCRIPTOR_SETS": json.dumps(sets),
    }


@pytest.fixture
def descriptor_set(tmp_path: Path) -> Path:
    path = tmp_path / "warehouse.binpb"
    path.write_bytes(b"")
    return path


def test_without_the_settings_there_are_none() -> None:
    assert foreign_targets({}, OWN) == ()
    empty = {"KONGFLOW_TASK_TARGETS": "", "KONGFLOW_TASK_DESCRIPTOR_SETS": "{}"}
    assert foreign_targets(empty, OWN) == ()


def test_paths_are_those_of_the_working_folder(
    descriptor_set: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(descriptor_set.parent)
    environment = named({"warehouse": "localhost:8061"}, {"warehouse": descriptor_set.name})
    assert foreign_targets(environment, OWN) == (
        ForeignTarget("warehouse", "localhost:8061", descriptor_set),
    )


@pytest.mark.parametrize(
    ("targets", "sets", "told"),
    [
        ({"warehouse": "a:1"}, {}, "KONGFLOW_TASK_DESCRIPTOR_SETS does not name warehouse"),
        ({}, {"warehouse": "FILE"}, "KONGFLOW_TASK_TARGETS does not name warehouse"),
        ({"events": "a:1"}, {"events": "FILE"}, "a service of KongFlow's own"),
        ({"worker": "a:1"}, {"worker": "FILE"}, "a service of KongFlow's own"),
        ({"Ware/house": "a:1"}, {"Ware/house": "FILE"}, "a name is of lower-case letters"),
        ({"warehouse": "a"}, {"warehouse": "FILE"}, "expected host:port"),
        ({"warehouse": "a:1"}, {"warehouse": "FILE.no"}, "where no file is"),
        (["warehouse"], {}, "is not a JSON object"),
        ({"warehouse": 8061}, {"warehouse": "FILE"}, "is not a JSON object"),
    ],
)
def test_what_could_not_be_joined_is_refused_by_name(
    descriptor_set: Path, targets: object, sets: object, told: str
) -> None:
    text = json.dumps(sets).replace("FILE", str(descriptor_set))
    with pytest.raises(CliError, match=told) as refused:
        foreign_targets(named(targets, json.loads(text)), OWN)
    assert refused.value.exit_code == 2


def test_settings_that_are_no_json_are_refused() -> None:
    with pytest.raises(CliError, match="KONGFLOW_TASK_TARGETS is not a JSON object"):
        foreign_targets({"KONGFLOW_TASK_TARGETS": "warehouse=a:1"}, OWN)


def test_the_worker_queue_alone_knows_the_target(tmp_path: Path, descriptor_set: Path) -> None:
    state = StateFolder.at(tmp_path / "state")
    state.make()
    target = ForeignTarget("warehouse", "127.0.0.1:8061", descriptor_set)
    secrets = load_or_make(state.secret_file, (*CONTEXTS, "warehouse", "gone"))
    plan = plan_system(
        PlanInputs(
            state=state,
            secrets=secrets,
            ports={name: 20_000 + at for at, name in enumerate(PORT_NAMES)},
            outside=OutsideServers(),
            environment=named({"stale": "a:1"}, {"stale": "b"}),
            foreign=[target],
        )
    )
    environments = {
        program.name: program.env
        for program in plan.services
        if isinstance(program, ServiceProgram)
    }
    for name in ("workerqueue", "worker"):
        targets = json.loads(environments[name]["KONGFLOW_TASK_TARGETS"])
        assert targets.keys() == {*TASK_CONTEXTS, "warehouse"}
        assert targets["warehouse"] == "127.0.0.1:8061"
        sets = json.loads(environments[name]["KONGFLOW_TASK_DESCRIPTOR_SETS"])
        assert sets == {"warehouse": str(descriptor_set)}
        keys = json.loads(environments[name]["KONGFLOW_SERVICE_PUBLIC_KEYS"])
        assert keys.keys() == {*CONTEXTS, "warehouse"}
    for name in set(CONTEXTS) - {"workerqueue"}:
        keys = json.loads(environments[name]["KONGFLOW_SERVICE_PUBLIC_KEYS"])
        assert keys.keys() == set(CONTEXTS)
        assert "KONGFLOW_TASK_TARGETS" not in environments[name]


def test_the_target_reads_who_it_is_and_whom_it_trusts(
    tmp_path: Path, descriptor_set: Path
) -> None:
    state = StateFolder.at(tmp_path / "state")
    state.make()
    target = ForeignTarget("warehouse", "127.0.0.1:8061", descriptor_set)
    secrets = load_or_make(state.secret_file, (*CONTEXTS, "warehouse"))
    write_identities([target], state, secrets, "127.0.0.1:8062")
    path = state.targets / "warehouse.json"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert json.loads(path.read_text()) == {
        "service": "warehouse",
        "service_key": secrets.service_keys["warehouse"].private_key,
        "listen": "127.0.0.1:8061",
        "workerqueue": "127.0.0.1:8062",
        "workerqueue_public_key": secrets.service_keys["workerqueue"].public_key,
    }
