"""The catalogue: what it reads out of descriptors, and what it refuses."""

import subprocess
import sys
import textwrap
from datetime import timedelta
from pathlib import Path
from uuid import UUID

import pytest
from pydantic import SecretStr, ValidationError

from kongflow_workerqueue.application.catalogue_ports import ArgsRefused
from kongflow_workerqueue.catalogue.catalogue import (
    KindCatalogue,
    built_in_kinds,
    kinds_of_descriptor_set,
)
from kongflow_workerqueue.catalogue.kind_reader import InvalidKind
from kongflow_workerqueue.domain.discard import Discard
from kongflow_workerqueue.domain.outcome import CallStatus, StatusCode
from kongflow_workerqueue.domain.retry import ExponentialRetry
from kongflow_workerqueue.domain.states import Priority
from kongflow_workerqueue.domain.uniqueness import Uniqueness
from kongflow_workerqueue.worker_settings import WorkerSettings
from services.workerqueue.tests.unit.catalogue.mail import BATCH, MESSAGES, CompileKinds, send

ROOT = Path(__file__).parents[5]

TOLD = """
message GiveUpRequest { SendRequest request = 1; kongflow.workerqueue.v1.Discard discard = 2; }
"""
DISCARD = Discard(
    status=CallStatus(StatusCode.INVALID_ARGUMENT, "no such mailbox"),
    attempts=2,
    queued_job_id=UUID("0190d5a2-0000-7000-8000-000000000001"),
)


GIVES_UP = send('kind: "mail.send" discarded_method: "GiveUp"') + send(
    'kind: "mail.giveUp"'
).replace("rpc Send(SendRequest)", "rpc GiveUp(GiveUpRequest)")


def test_our_own_kinds_have_the_policy_that_stands_beside_their_method() -> None:
    catalogue = KindCatalogue(built_in_kinds())
    kind = catalogue.find("deliverEvent")
    assert kind is not None
    assert kind.target == "events"
    assert (kind.queue, kind.priority, kind.max_attempts) == ("events", Priority.HIGH, 6)
    assert kind.timeout == timedelta(seconds=10)
    assert kind.unique == Uniqueness()
    assert kind.unary.path == "/kongflow.events.tasks.v1.EventsTasksService/DeliverEvent"
    assert kind.batch is not None
    assert kind.batch.path == "/kongflow.events.tasks.v1.EventsTasksService/BatchDeliverEvents"
    assert catalogue.find("unheardOf") is None


def test_our_own_periodic_jobs_are_one_at_a_time_and_wait_for_whatever_somebody_waits_for() -> None:
    kinds = [kind for kind in built_in_kinds() if kind.periodic]
    assert {each.name: each.schedule.cron for kind in kinds for each in kind.periodic} == {
        "autoIndexProductionEndpoints": "*/5 * * * *",
        "purgeOldEvents": "30 * * * *",
        "purgeOldIndexings": "0 * * * *",
    }
    for kind in kinds:
        assert (kind.queue, kind.priority) == ("maintenance", Priority.LOW)
        assert kind.unique is not None


def test_options_are_read_although_their_module_was_imported_last() -> None:
    """Options parsed before their extension is known stay silently empty.

    In a process of its own: in this one the module was imported long ago. The trap is asserted
    too: without it this test could not fail.
    """
    program = """
        import sys
        from google.protobuf.descriptor_pb2 import FileDescriptorProto

        raw = bytes.fromhex(sys.stdin.readline())
        early = FileDescriptorProto.FromString(raw)

        from kongflow.workerqueue.v1 import job_options_pb2

        assert not any(
            method.options.HasExtension(job_options_pb2.job)
            for service in early.service
            for method in service.method
        ), "the trap is gone"

        from kongflow_workerqueue.catalogue.catalogue import built_in_kinds

        print(*sorted(kind.kind for kind in built_in_kinds()))
    """
    from kongflow.events.tasks.v1 import events_tasks_service_pb2  # noqa: PLC0415

    raw = events_tasks_service_pb2.DESCRIPTOR.serialized_pb.hex()
    answer = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(program)],
        input=raw,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    kinds = {"deliverEvent", "events.invokeDispatcher", "startRun"}
    assert kinds <= set(answer.stdout.split()), answer.stderr


def test_a_foreign_target_brings_its_descriptor_set(compile_kinds: CompileKinds) -> None:
    [kind] = compile_kinds(
        send(
            'kind: "mail.send" queue: "mail" priority: PRIORITY_LOW max_attempts: 3 '
            'timeout: {seconds: 30} batch_method: "BatchSend" max_batch_size: 20 '
            "retry: {initial_backoff: {seconds: 5} max_backoff: {seconds: 60} multiplier: 3} "
            'unique: {by_args: true args: "to"}'
        )
        + BATCH
    )
    assert (kind.kind, kind.target, kind.queue) == ("mail.send", "mail", "mail")
    assert (kind.priority, kind.max_attempts, kind.max_batch_size) == (Priority.LOW, 3, 20)
    assert kind.retry == ExponentialRetry(timedelta(seconds=5), timedelta(seconds=60), 3)
    assert kind.unique == Uniqueness(("to",))
    message = kind.parser.parse(b'{"to": "a@b", "kind": "KIND_LOUD", "size": "7", "tags": ["x"]}')
    assert str(message) == 'to: "a@b"\nkind: KIND_LOUD\nsize: 7\ntags: "x"\n'


def test_what_is_left_out_has_the_documented_defaults(compile_kinds: CompileKinds) -> None:
    [kind] = compile_kinds(send('kind: "mail.send" batch_method: "BatchSend"') + BATCH)
    assert (kind.queue, kind.priority, kind.max_attempts) == ("default", Priority.NORMAL, 25)
    assert (kind.timeout, kind.max_batch_size) == (timedelta(minutes=1), 100)
    assert (kind.retry, kind.unique, kind.discarded_kind) == (ExponentialRetry(), None, None)
    [unary] = compile_kinds(send('kind: "mail.send"'))
    assert (unary.batch, unary.max_batch_size) == (None, 1)


def test_a_discarded_method_is_a_kind_of_its_own(compile_kinds: CompileKinds) -> None:
    kinds = compile_kinds(
        send('kind: "mail.send" discarded_method: "GiveUp"')
        + send('kind: "mail.giveUp" queue: "maintenance"').replace("rpc Send", "rpc GiveUp")
    )
    by_name = {kind.kind: kind for kind in kinds}
    assert by_name["mail.send"].discarded_kind is by_name["mail.giveUp"]
    assert by_name["mail.send"].discarded_args(b'{"to": "a@b"}', DISCARD) == b'{"to": "a@b"}'


def test_a_discarded_method_may_be_told_why(compile_kinds: CompileKinds) -> None:
    kinds = compile_kinds(GIVES_UP, MESSAGES + TOLD)
    [sent] = [kind for kind in kinds if kind.kind == "mail.send"]
    assert sent.discarded_kind is not None
    args = sent.discarded_args(b'{"to": "a@b", "size": "7"}', DISCARD)
    request = sent.discarded_kind.parser.parse(args)
    assert str(request) == (
        'request {\n  to: "a@b"\n  size: 7\n}\n'
        'discard {\n  status {\n    code: 3\n    message: "no such mailbox"\n  }\n'
        f'  attempts: 2\n  queued_job_id: "{DISCARD.queued_job_id}"\n}}\n'
    )


@pytest.mark.parametrize(
    "told",
    [
        TOLD.replace("SendRequest request = 1;", "SendResponse request = 1;"),
        TOLD.replace("request = 1", "request = 3"),
        TOLD.replace("SendRequest request = 1;", "repeated SendRequest request = 1;"),
        TOLD.replace("kongflow.workerqueue.v1.Discard discard = 2;", ""),
        TOLD.replace("kongflow.workerqueue.v1.Discard discard = 2;", "string discard = 2;"),
        TOLD.replace("Discard discard = 2;", "JobResult discard = 2;"),
        TOLD.replace("discard = 2;", "discard = 2; string more = 3;"),
        TOLD.replace("{ ", "{ oneof either { ").replace(" }", " } }"),
    ],
)
def test_a_discarded_method_of_another_shape_is_refused(
    compile_kinds: CompileKinds, told: str
) -> None:
    with pytest.raises(InvalidKind, match=r"GiveUp must be mail\.v1\.SendRequest, or hold exactly"):
        compile_kinds(GIVES_UP, MESSAGES + told)


SHAPES = {
    "no batch method of that name": ('batch_method: "Absent"', BATCH, MESSAGES, "no method Absent"),
    "requests of another type": (
        'batch_method: "BatchSend"',
        BATCH,
        MESSAGES.replace("repeated SendRequest requests", "repeated SendResponse requests"),
        "must hold exactly",
    ),
    "a single request": (
        'batch_method: "BatchSend"',
        BATCH,
        MESSAGES.replace("repeated SendRequest requests", "SendRequest requests"),
        "must hold exactly",
    ),
    "other field numbers": (
        'batch_method: "BatchSend"',
        BATCH,
        MESSAGES.replace("envelopes = 2", "envelopes = 3"),
        "must hold exactly",
    ),
    "no envelopes": (
        'batch_method: "BatchSend"',
        BATCH,
        MESSAGES.replace("repeated kongflow.workerqueue.v1.Envelope envelopes = 2;", ""),
        "must hold exactly",
    ),
    "more than a batch needs": (
        'batch_method: "BatchSend"',
        BATCH,
        MESSAGES.replace("envelopes = 2;", "envelopes = 2; string more = 3;"),
        "must hold exactly",
    ),
    "results of another type": (
        'batch_method: "BatchSend"',
        BATCH,
        MESSAGES.replace("kongflow.workerqueue.v1.JobResult results", "SendResponse results"),
        "must hold exactly",
    ),
    "a stream": (
        'batch_method: "BatchSend"',
        BATCH.replace("returns (", "returns (stream "),
        MESSAGES,
        "streams",
    ),
    "no name": ('queue: "mail"', "", MESSAGES, "no name"),
    "a size without a batch": ('kind: "k" max_batch_size: 3', "", MESSAGES, "without a batch"),
    "a negative timeout": ('kind: "k" timeout: {seconds: -1}', "", MESSAGES, "not positive"),
    "no attempts": ('kind: "k" max_attempts: -1', "", MESSAGES, "less than 1"),
    "more attempts than the ledger counts": (
        'kind: "k" max_attempts: 1001',
        "",
        MESSAGES,
        "more than 1000",
    ),
    "a name that the ledger does not hold": (f'kind: "{"k" * 201}"', "", MESSAGES, "longer than"),
    "a queue that the ledger does not hold": (
        f'kind: "k" queue: "{"q" * 129}"',
        "",
        MESSAGES,
        "longer than",
    ),
    "unique within a window of nothing": (
        'kind: "k" unique: {window: {seconds: 5}}',
        "",
        MESSAGES,
        "compares nothing",
    ),
    "unique by what no request has": (
        'kind: "k" unique: {by_args: true args: "recipient"}',
        "",
        MESSAGES,
        "no field recipient",
    ),
    "a window without an end": (
        'kind: "k" unique: {by_args: true window: {seconds: 99999999}}',
        "",
        MESSAGES,
        "at most 31 days",
    ),
    "states that leave out who waits": (
        'kind: "k" unique: {by_args: true states: STATE_RUNNING}',
        "",
        MESSAGES,
        "must hold",
    ),
    "delays and a growth": (
        'kind: "k" retry: {delays: {seconds: 1} growth: GROWTH_EXPONENTIAL}',
        "",
        MESSAGES,
        "beside delays",
    ),
    "a delay of nothing": ('kind: "k" retry: {delays: {}}', "", MESSAGES, "not positive"),
    "a multiplier for a power": (
        'kind: "k" retry: {growth: GROWTH_FOURTH_POWER multiplier: 2}',
        "",
        MESSAGES,
        "multiplier",
    ),
    "unique without arguments": ('kind: "k" unique: {args: "to"}', "", MESSAGES, "not by_args"),
    "a policy that never waits": (
        'kind: "k" retry: {initial_backoff: {seconds: 5} max_backoff: {seconds: 1}}',
        "",
        MESSAGES,
        "retry",
    ),
    "a discarded method that is no kind": (
        'kind: "k" discarded_method: "BatchSend"',
        BATCH,
        MESSAGES,
        "not a kind",
    ),
    "a circle of discarded methods": (
        'kind: "k" discarded_method: "Send"',
        "",
        MESSAGES,
        "circle",
    ),
}


@pytest.mark.parametrize("name", SHAPES)
def test_what_could_not_be_called_is_refused(compile_kinds: CompileKinds, name: str) -> None:
    options, more, messages, reason = SHAPES[name]
    if "kind:" not in options and name != "no name":
        options = f'kind: "mail.send" {options}'
    with pytest.raises(InvalidKind, match=reason):
        compile_kinds(send(options) + more, messages)


def test_two_targets_may_not_declare_the_same_kind() -> None:
    with pytest.raises(InvalidKind, match="performEndpointIndexing is declared twice"):
        KindCatalogue([*built_in_kinds(), *built_in_kinds()])


def test_a_file_that_is_no_descriptor_set_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "broken.binpb"
    path.write_bytes(b"not a descriptor set")
    with pytest.raises(InvalidKind, match=r"broken\.binpb"):
        kinds_of_descriptor_set("mail", path)


@pytest.mark.parametrize(
    "args",
    [b"", b"[]", b"null", b'"text"', b"{", b'{"eventRecordId": 3}', b'{"deliveryRevision": "x"}'],
)
def test_arguments_that_are_no_request_are_refused(args: bytes) -> None:
    kind = KindCatalogue(built_in_kinds()).find("deliverEvent")
    assert kind is not None
    with pytest.raises(ArgsRefused):
        kind.check_args(args)


def test_what_waits_for_users_programs_is_alone_in_its_queue() -> None:
    """Jobs that end at once must not wait for slots that slow programs hold."""
    slow = {
        "performRunExecution": "execution",
        "invokeEphemeralDispatcher": "execution",
        "performEndpointIndexing": "indexing",
    }
    for kind in built_in_kinds():
        assert slow.get(kind.kind) == (kind.queue if kind.queue in slow.values() else None)


def test_a_worker_has_slots_for_every_kind_of_its_own() -> None:
    slots = WorkerSettings.model_fields["worker_slots"].default
    assert {kind.queue for kind in built_in_kinds()} <= slots.keys()


@pytest.mark.parametrize("slots", [{}, {"": 1}, {"events": 0}, {"events": -1}, {"q" * 129: 1}])
def test_slots_with_which_a_worker_would_do_nothing_are_refused(slots: dict[str, int]) -> None:
    with pytest.raises(ValidationError, match="worker_slots"):
        WorkerSettings(
            database_url=SecretStr("postgresql://nobody@localhost/none"),
            redis_url=SecretStr("redis://localhost"),
            worker_slots=slots,
        )
