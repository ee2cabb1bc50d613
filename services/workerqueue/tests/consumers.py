"""Foreign targets that publish and consume integration events, as descriptor sets."""

import textwrap
from importlib import resources
from pathlib import Path

from grpc_tools import protoc

ROOT = Path(__file__).parents[3]
CONSUMER = """
message NoteRequest { kongflow.events.v1.IntegrationEvent event = 1; }
message NoteResponse {}
"""


def consumer(name: str, types: str, job: str = "") -> str:
    """A method that consumes; its kind is `<package>.<name>`."""
    return f"""
        rpc {name}(NoteRequest) returns (NoteResponse) {{
          option (kongflow.workerqueue.v1.job) = {{kind: "courier.{name}" {job}}};
          option (kongflow.events.v1.consumes) = {{types: [{types}]}};
        }}
    """


def compile_target(
    folder: Path, methods: str, *, messages: str = CONSUMER, name: str = "courier"
) -> Path:
    """Compiles a service with these methods; answers the descriptor set."""
    source = f"""
        syntax = "proto3";
        package {name}.v1;
        import "kongflow/events/v1/integration_event.proto";
        import "kongflow/workerqueue/v1/job_options.proto";
        service CourierService {{ {methods} }}
        {messages}
    """
    (folder / f"{name}.proto").write_text(textwrap.dedent(source).lstrip())
    descriptor_set = folder / f"{name}.binpb"
    arguments = [
        "protoc",
        f"-I{folder}",
        f"-I{ROOT / 'protos'}",
        f"-I{resources.files('grpc_tools') / '_proto'}",
        "--include_imports",
        f"--descriptor_set_out={descriptor_set}",
        f"{name}.proto",
    ]
    if protoc.main(arguments) != 0:
        raise ValueError(f"{name}.proto does not compile")
    return descriptor_set
