"""The plan of the real system: which processes, on which ports, with which settings."""

import importlib.util
import json
import signal
import sys
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from kongflow_cli.errors import CliError
from kongflow_cli.local.foreign_targets import DESCRIPTOR_SETS, TARGETS, ForeignTarget
from kongflow_cli.local.outside_servers import OutsideServers
from kongflow_cli.local.preparation import Preparation
from kongflow_cli.local.program import Program, ServiceProgram, StoreProgram, Task
from kongflow_cli.local.secret_file import Secrets
from kongflow_cli.local.state_folder import StateFolder
from kongflow_cli.local.supervisor import SystemPlan
from kongflow_embedded.postgres import PostgresServer
from kongflow_embedded.valkey import ValkeyServer

CONTEXTS = ("tenancy", "events", "jobs", "endpoints", "runs", "workerqueue")
TASK_CONTEXTS = ("events", "endpoints", "jobs", "runs", "tenancy", "workerqueue")
"""The contexts whose methods the worker queue calls."""
PORT_NAMES = (
    "postgres",
    "valkey",
    *CONTEXTS,
    *(f"{context}-tasks" for context in CONTEXTS),
)
_DATABASE = "kongflow"
_HOST = "127.0.0.1"
_DRAIN_SECONDS = 10
_STOP_GROUPS = (
    # The worker first, while the servers that it calls can still answer.
    ("worker",),
    CONTEXTS,
    ("valkey",),
    ("postgres",),
)


@dataclass(frozen=True, slots=True)
class PlanInputs:
    """What was found or made before the system starts."""

    state: StateFolder
    secrets: Secrets
    ports: Mapping[str, int]
    outside: OutsideServers
    environment: Mapping[str, str]
    """The environment `kongflow up` was called in."""
    foreign: Sequence[ForeignTarget] = ()
    """Services of the user whose methods are called as well."""


def plan_system(inputs: PlanInputs) -> SystemPlan:
    """Returns how the development system is started."""
    stores, database_url, redis_url = _stores(inputs)
    env = _common_environment(inputs, database_url, redis_url)
    cwd = inputs.state.path
    services: list[Program] = [_server(inputs, context, env) for context in CONTEXTS]
    services.append(
        ServiceProgram(
            name="worker",
            argv=_python("kongflow_workerqueue", "worker"),
            env=_service_environment(inputs, "workerqueue", "worker", env),
            cwd=cwd,
            stop_seconds=_DRAIN_SECONDS + 5,
            ready_message="worker registered",
        )
    )
    return SystemPlan(
        stores=stores,
        migrations=[
            Task(
                f"migrate-{context}",
                _python(f"kongflow_{context}", "migrate"),
                _service_environment(inputs, context, f"migrate-{context}", env),
                cwd,
            )
            for context in CONTEXTS
        ],
        bootstrap=Task(
            "bootstrap",
            _python("kongflow_tenancy", "bootstrap"),
            {
                **_service_environment(inputs, "tenancy", "bootstrap", env),
                **_bootstrap(inputs.secrets),
            },
            cwd,
        ),
        services=services,
        stop_groups=_STOP_GROUPS,
        grpc={context: _address(inputs.ports[context]) for context in CONTEXTS},
        database_url=database_url,
        redis_url=redis_url,
        preparation=_preparation(inputs, database_url),
    )


def _preparation(inputs: PlanInputs, database_url: str) -> Preparation | None:
    if inputs.outside.database_url:
        # Others may change that database in ways we would not see.
        return None
    packages = {context: _package_folder(f"kongflow_{context}") for context in CONTEXTS}
    migrations = [
        folder
        for package in packages.values()
        # Inside an installed package, or beside `src` in a checkout.
        for folder in (package / "migrations", package.parents[1] / "migrations")
        if folder.is_dir()
    ]
    secrets = inputs.secrets
    return Preparation(
        mark=inputs.state.prepared_file,
        database_url=database_url,
        schemas=CONTEXTS,
        sources=[*migrations, packages["tenancy"]],
        given={**_bootstrap(secrets), secrets.secret_key_id: secrets.secret_key},
    )


def _package_folder(name: str) -> Path:
    spec = importlib.util.find_spec(name)
    if spec is None or not spec.submodule_search_locations:
        raise CliError(f"The package {name} is not installed: pip install 'kongflow-cli[local]'.")
    return Path(spec.submodule_search_locations[0])


def _stores(inputs: PlanInputs) -> tuple[list[Program], str, str]:
    """Returns the stores to start, and the URLs of PostgreSQL and Redis."""
    stores: list[Program] = []
    database_url, redis_url = inputs.outside.database_url, inputs.outside.redis_url
    if not database_url:
        postgres = PostgresServer(
            folder=inputs.state.postgres,
            port=inputs.ports["postgres"],
            password=inputs.secrets.postgres_password,
            database=_DATABASE,
        )
        stores.append(StoreProgram("postgres", _address(postgres.port), postgres, signal.SIGQUIT))
        database_url = postgres.url()
    if not redis_url:
        valkey = ValkeyServer(
            folder=inputs.state.valkey,
            port=inputs.ports["valkey"],
            password=inputs.secrets.valkey_password,
        )
        stores.append(StoreProgram("valkey", _address(valkey.port), valkey, signal.SIGKILL))
        redis_url = valkey.url()
    return stores, database_url, redis_url


def _server(inputs: PlanInputs, context: str, env: Mapping[str, str]) -> ServiceProgram:
    listen = _address(inputs.ports[context])
    tasks_listen = _address(inputs.ports[f"{context}-tasks"])
    return ServiceProgram(
        name=context,
        argv=_python(f"kongflow_{context}", "serve"),
        env={
            **_service_environment(inputs, context, context, env),
            "KONGFLOW_LISTEN": listen,
            "KONGFLOW_TASKS_LISTEN": tasks_listen,
        },
        cwd=inputs.state.path,
        listeners=(listen, tasks_listen),
        address=listen,
        stop_seconds=_DRAIN_SECONDS + 5,
    )


def _common_environment(inputs: PlanInputs, database_url: str, redis_url: str) -> dict[str, str]:
    inherited = {
        name: value
        for name, value in inputs.environment.items()
        # Paths in them are those of another folder; the worker queue is told what is meant.
        if name not in {"DATABASE_URL", "REDIS_URL", TARGETS, DESCRIPTOR_SETS}
    }
    targets = {
        f"KONGFLOW_{context.upper()}_TARGET": _address(inputs.ports[f"{context}-tasks"])
        for context in CONTEXTS
    }
    return {
        "KONGFLOW_LOG_LEVEL": "INFO",
        **inherited,
        **targets,
        "PYTHONUNBUFFERED": "1",
        "KONGFLOW_DATABASE_URL": database_url,
        "KONGFLOW_REDIS_URL": redis_url,
        "KONGFLOW_LOG_FORMAT": "json",
        "KONGFLOW_DRAIN_SECONDS": str(_DRAIN_SECONDS),
        "KONGFLOW_METRICS_LISTEN": "",
        "KONGFLOW_SERVICE_PUBLIC_KEYS": _public_keys(inputs, CONTEXTS),
    }


def _public_keys(inputs: PlanInputs, services: Iterable[str]) -> str:
    return json.dumps({name: inputs.secrets.service_keys[name].public_key for name in services})


def _service_environment(
    inputs: PlanInputs, context: str, instance: str, env: Mapping[str, str]
) -> dict[str, str]:
    own = {
        "KONGFLOW_INSTANCE": instance,
        "KONGFLOW_SERVICE_KEY": inputs.secrets.service_keys[context].private_key,
    }
    if context == "tenancy":
        secrets = inputs.secrets
        own["KONGFLOW_SECRET_KEYS"] = json.dumps({secrets.secret_key_id: secrets.secret_key})
    if context == "endpoints":
        # The programs that are being developed listen on this machine.
        own["KONGFLOW_ALLOW_PRIVATE_ENDPOINTS"] = "true"
    if context == "events":
        own["KONGFLOW_ALLOW_PRIVATE_CALLBACKS"] = "true"
    if context == "workerqueue":
        own |= _worker_queue_environment(inputs)
    return {**env, **own}


def _worker_queue_environment(inputs: PlanInputs) -> dict[str, str]:
    targets = {name: _address(inputs.ports[f"{name}-tasks"]) for name in TASK_CONTEXTS}
    targets |= {target.name: target.address for target in inputs.foreign}
    names = [target.name for target in inputs.foreign]
    return {
        TARGETS: json.dumps(targets),
        DESCRIPTOR_SETS: json.dumps(
            {target.name: str(target.descriptor_set) for target in inputs.foreign}
        ),
        # Only here: a service of the user is no service to the others.
        "KONGFLOW_SERVICE_PUBLIC_KEYS": _public_keys(inputs, (*CONTEXTS, *names)),
    }


def _bootstrap(secrets: Secrets) -> dict[str, str]:
    return {
        "KONGFLOW_BOOTSTRAP_API_KEY": secrets.api_key,
        "KONGFLOW_BOOTSTRAP_PUBLIC_KEY": secrets.public_key,
        "KONGFLOW_BOOTSTRAP_OPERATOR_TOKEN": secrets.operator_token,
    }


def _python(module: str, command: str) -> tuple[str, ...]:
    # -P: a file in the working folder never takes the place of a module.
    return (sys.executable, "-P", "-m", module, command)


def _address(port: int) -> str:
    return f"{_HOST}:{port}"
