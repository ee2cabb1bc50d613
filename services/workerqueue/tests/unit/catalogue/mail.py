"""A mail service whose kinds the tests declare."""

from collections.abc import Callable

from kongflow_workerqueue.catalogue.kind import Kind

MESSAGES = """
message SendRequest { string to = 1; Kind kind = 2; int64 size = 3; repeated string tags = 4; }
enum Kind { KIND_UNSPECIFIED = 0; KIND_LOUD = 1; }
message SendResponse {}
message BatchSendRequest {
  repeated SendRequest requests = 1;
  repeated kongflow.workerqueue.v1.Envelope envelopes = 2;
}
message BatchSendResponse { repeated kongflow.workerqueue.v1.JobResult results = 1; }
"""
BATCH = "rpc BatchSend(BatchSendRequest) returns (BatchSendResponse);"

CompileKinds = Callable[..., list[Kind]]


def send(options: str) -> str:
    return (
        "rpc Send(SendRequest) returns (SendResponse) "
        f"{{ option (kongflow.workerqueue.v1.job) = {{ {options} }}; }}"
    )
