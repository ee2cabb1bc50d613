"""The system under measurement: where it listens, its processes and its database."""

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from uuid import UUID

import grpc
import psutil

from kongflow.events.v1 import event_dispatcher_pb2, events_service_pb2
from kongflow.events.v1.events_service_pb2_grpc import EventsServiceStub

DISPATCHERS = 1_000
NAME = "bench.event"
CALL_TIMEOUT_S = 30.0


@dataclass(frozen=True)
class System:
    """What `.kongflow/dev.json` says of a started system."""

    state_dir: Path
    api_key: str
    events_target: str
    endpoints_target: str
    database_url: str
    pids: Mapping[str, int]

    @property
    def metadata(self) -> tuple[tuple[str, str], ...]:
        """What a call of a client carries."""
        return (("authorization", f"Bearer {self.api_key}"),)


def read_system(state_dir: Path) -> System:
    """Reads the state folder of a started system; raises SystemExit when it is not started."""
    try:
        state = json.loads((state_dir / "dev.json").read_text())
    except FileNotFoundError:
        raise SystemExit(f"no system runs in {state_dir}: start it with `make up`") from None
    return System(
        state_dir=state_dir,
        api_key=state["api_key"],
        events_target=state["grpc"]["events"],
        endpoints_target=state["grpc"]["endpoints"],
        database_url=state["database_url"],
        pids=state["pids"],
    )


def events_channel(system: System) -> grpc.aio.Channel:
    """A channel to the events service that is not shared with other channels."""
    return grpc.aio.insecure_channel(
        system.events_target, options=[("grpc.use_local_subchannel_pool", 1)]
    )


async def put_dispatchers(system: System) -> str:
    """Sees to 1,000 dispatchers of one name, one of which takes the events; answers the name."""
    async with events_channel(system) as channel:
        stub = EventsServiceStub(channel)
        for number in range(DISPATCHERS):
            dispatcher = event_dispatcher_pb2.EventDispatcher(
                dispatchable_id=f"bench-{number:03d}",
                event_names=[NAME],
                dispatchable=event_dispatcher_pb2.Dispatchable(
                    job_version=event_dispatcher_pb2.JobVersionDispatchable(
                        job_id=str(UUID(int=number + 1)), alias="latest"
                    )
                ),
            )
            customer = f"c-{1042 + number}"
            dispatcher.payload_filter.json = (
                f'{{"customer": ["{customer}"], "amount": [{{"$gte": 10}}]}}'.encode()
            )
            await stub.UpsertEventDispatcher(
                events_service_pb2.UpsertEventDispatcherRequest(event_dispatcher=dispatcher),
                metadata=system.metadata,
                timeout=CALL_TIMEOUT_S,
            )
    return NAME


def cpu_seconds(system: System) -> dict[str, float]:
    """CPU time that each process of the system has used, PostgreSQL's backends included."""
    return {name: _tree_cpu(pid) for name, pid in system.pids.items() if psutil.pid_exists(pid)}


def _tree_cpu(pid: int) -> float:
    process = psutil.Process(pid)
    own = process.cpu_times()
    # children_* holds what ended children used; living ones are added one by one.
    total = own.user + own.system + own.children_user + own.children_system
    for child in process.children(recursive=True):
        try:
            times = child.cpu_times()
        except psutil.NoSuchProcess:
            continue
        total += times.user + times.system
    return float(total)


def resident_megabytes(system: System) -> dict[str, float]:
    """Resident memory of each process of the system, its children included."""
    return {name: _tree_rss(pid) for name, pid in system.pids.items() if psutil.pid_exists(pid)}


def _tree_rss(pid: int) -> float:
    process = psutil.Process(pid)
    total = process.memory_info().rss
    for child in process.children(recursive=True):
        try:
            total += child.memory_info().rss
        except psutil.NoSuchProcess:
            continue
    return float(total) / 2**20


def state_dir_from_environment() -> Path:
    """The state folder that is measured: KONGFLOW_STATE_DIR, else `.kongflow`."""
    return Path(os.environ.get("KONGFLOW_STATE_DIR", ".kongflow")).resolve()
