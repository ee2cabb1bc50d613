"""The supervisor with stand-ins for the services: `stand_in_system.py STATE_DIR VARIANT SECONDS`.

PostgreSQL and Valkey are real; the services are small processes with a health service.
"""

import json
import os
import signal
import sys
from pathlib import Path

from kongflow_cli.errors import CliError
from kongflow_cli.local.development_system import UpOptions, run_system
from kongflow_cli.local.port_book import choose_ports
from kongflow_cli.local.program import Program, ServiceProgram, StoreProgram, Task
from kongflow_cli.local.secret_file import load_or_make
from kongflow_cli.local.state_folder import StateFolder
from kongflow_cli.local.supervisor import SystemPlan
from kongflow_embedded.postgres import PostgresServer
from kongflow_embedded.valkey import ValkeyServer

STAND_IN = str(Path(__file__).with_name("stand_in_service.py"))
SERVICES = ("alpha", "beta")


def command(*arguments: str) -> tuple[str, ...]:
    return (sys.executable, STAND_IN, *arguments)


def plan(state: StateFolder, variant: str) -> SystemPlan:
    secrets = load_or_make(state.secret_file, SERVICES)
    ports = choose_ports(state.ports_file, ["postgres", "valkey", *SERVICES])
    postgres = PostgresServer(
        folder=state.postgres,
        port=ports["postgres"],
        password=secrets.postgres_password,
        database="kongflow",
        sync_new_files=False,
    )
    valkey = ValkeyServer(
        folder=state.valkey, port=ports["valkey"], password=secrets.valkey_password
    )
    env = dict(os.environ)
    answer = {name: getattr(secrets, name) for name in ("api_key", "public_key", "operator_token")}
    services: list[Program] = []
    for name in SERVICES:
        address = f"127.0.0.1:{ports[name]}"
        argv = command("serve", name, address)
        if variant == "never-ready":
            argv = command("stubborn", name)
        if variant == "dies" and name == "beta":
            argv = command("fail", "beta cannot work here")
        if variant == "misconfigured" and name == "beta":
            argv = command("misconfigured", "slots: is no number")
        services.append(ServiceProgram(name, argv, env, state.path, (address,), address, 5.0))
    if variant in {"stubborn", "mute"}:
        services.append(
            ServiceProgram(
                "mule",
                command(variant, "mule"),
                env,
                state.path,
                ready_message="never ends by itself",
            )
        )
    migration = {
        "bad-migration": command("fail", "no such table"),
        "misconfigured-migration": command("misconfigured", "pool: is no number"),
    }.get(variant)
    return SystemPlan(
        stores=[
            StoreProgram("postgres", f"127.0.0.1:{postgres.port}", postgres, signal.SIGQUIT),
            StoreProgram("valkey", f"127.0.0.1:{valkey.port}", valkey, signal.SIGKILL),
        ],
        migrations=[
            Task("migrate-alpha", migration or command("task", "migrate-alpha"), env, state.path),
            Task("migrate-beta", command("task", "migrate-beta"), env, state.path),
        ],
        bootstrap=Task(
            "bootstrap", command("task", "bootstrap", json.dumps(answer)), env, state.path
        ),
        services=services,
        stop_groups=(("mule", *SERVICES), ("valkey",), ("postgres",)),
        grpc={name: f"127.0.0.1:{ports[name]}" for name in SERVICES},
        database_url=postgres.url(),
        redis_url=valkey.url(),
    )


def main() -> None:
    state = StateFolder.at(Path(sys.argv[1]))
    variant, seconds = sys.argv[2:]
    try:
        run_system(
            state,
            UpOptions(float(seconds)),
            on_ready=lambda line: None,
            plan=lambda folder: plan(folder, variant),
        )
    except CliError as error:
        print(f"kongflow: {error}", file=sys.stderr)
        sys.exit(error.exit_code)


if __name__ == "__main__":
    main()
