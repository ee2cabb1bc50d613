"""Who publishes and who consumes, as descriptors declare it."""

from datetime import timedelta
from pathlib import Path
from uuid import UUID

import pytest
from google.protobuf.descriptor_pb2 import FileDescriptorSet

from kongflow_common.ids import new_id
from kongflow_workerqueue.application.catalogue_ports import ArgsRefused, EventHead
from kongflow_workerqueue.catalogue.catalogue import (
    KindCatalogue,
    built_in_publications,
    publications_of_descriptor_set,
    read_catalogue,
)
from kongflow_workerqueue.catalogue.event_reader import InvalidEvents, Publication
from kongflow_workerqueue.catalogue.kind_reader import InvalidKind
from kongflow_workerqueue.domain.retry import ExponentialRetry
from kongflow_workerqueue.domain.states import Priority
from kongflow_workerqueue.domain.subscription import job_id_of
from services.workerqueue.tests.consumers import compile_target, consumer

SUCCESS = '"run.completed.success"'
# What KongFlow's own services consume.
OURS = ["account.deleted", "environment.deleted", "project.deleted"]


def test_our_own_services_publish_types_of_their_domain() -> None:
    published = built_in_publications()
    assert Publication("run.completed.success", "runs") in published
    assert Publication("endpoint.index.failure", "endpoints") in published
    assert {(each.domain, each.target) for each in published} == {
        ("run", "runs"),
        ("endpoint", "endpoints"),
        ("account", "events"),
        ("environment", "tenancy"),
        ("project", "tenancy"),
    }


def test_a_consumer_has_the_policy_of_events_unless_it_says_otherwise(tmp_path: Path) -> None:
    methods = consumer("Note", SUCCESS) + consumer(
        "Shout",
        f'{SUCCESS}, "endpoint.index.failure"',
        'queue: "loud" max_attempts: 9 retry: {initial_backoff: {seconds: 7} multiplier: 3}',
    )
    catalogue = read_catalogue({"courier": compile_target(tmp_path, methods)})
    note, shout = catalogue.consumers("run.completed.success")
    assert (note.kind, note.queue, note.priority) == ("courier.Note", "events", Priority.NORMAL)
    assert (note.max_attempts, note.unique) == (3, None)
    assert note.retry == ExponentialRetry(initial_backoff=timedelta(seconds=2), multiplier=2)
    assert (shout.kind, shout.queue, shout.max_attempts) == ("courier.Shout", "loud", 9)
    assert shout.retry == ExponentialRetry(initial_backoff=timedelta(seconds=7), multiplier=3)
    assert [kind.kind for kind in catalogue.consumers("endpoint.index.failure")] == [shout.kind]
    assert catalogue.consumers("run.completed.failure") == ()
    assert catalogue.consumed_types() == sorted(
        ["endpoint.index.failure", *OURS, "run.completed.success"]
    )


def test_without_consumers_nothing_is_consumed() -> None:
    assert KindCatalogue([]).consumed_types() == []
    assert read_catalogue({}).consumed_types() == OURS


@pytest.mark.parametrize(
    ("methods", "messages", "told"),
    [
        (consumer("Note", '"run.Completed"'), None, "is no type of event"),
        (consumer("Note", '"run"'), None, "is no type of event"),
        (consumer("Note", '"run.a.b.c"'), None, "is no type of event"),
        (consumer("Note", f"{SUCCESS}, {SUCCESS}"), None, "consumes a type twice"),
        (consumer("Note", ""), None, "consumes no type"),
        (
            consumer("Note", SUCCESS),
            "message NoteRequest { string text = 1; } message NoteResponse {}",
            "must hold exactly kongflow.events.v1.IntegrationEvent event = 1",
        ),
        (
            consumer("Note", SUCCESS),
            (
                "message NoteRequest { repeated kongflow.events.v1.IntegrationEvent event = 1; }"
                "message NoteResponse {}"
            ),
            "must hold exactly kongflow.events.v1.IntegrationEvent event = 1",
        ),
        (
            (
                "rpc Note(NoteRequest) returns (NoteResponse) {"
                f"option (kongflow.events.v1.consumes) = {{types: [{SUCCESS}]}}; }}"
            ),
            None,
            "consumes events and is no kind",
        ),
        (
            (
                "rpc Note(NoteRequest) returns (NoteResponse) {"
                'option (kongflow.workerqueue.v1.job) = {kind: "publishIntegrationEvent"}; }'
            ),
            None,
            "stands for the kinds that consume an event",
        ),
    ],
)
def test_a_consumer_that_could_not_be_called_is_refused(
    tmp_path: Path, methods: str, messages: str | None, told: str
) -> None:
    more = {} if messages is None else {"messages": messages}
    path = compile_target(tmp_path, methods, **more)
    with pytest.raises(InvalidKind, match=told):
        read_catalogue({"courier": path})


def publishing(folder: Path, types: str, name: str = "courier") -> Path:
    methods = f"option (kongflow.events.v1.publishes) = {{types: [{types}]}};"
    return compile_target(folder, methods, name=name)


def test_a_foreign_target_publishes_types_of_a_domain_of_its_own(tmp_path: Path) -> None:
    path = publishing(tmp_path, '"parcel.delivered"')
    assert publications_of_descriptor_set("courier", path) == [
        Publication("parcel.delivered", "courier")
    ]
    catalogue = read_catalogue({"courier": path})
    assert catalogue.publisher("parcel.delivered") == "courier"
    # The domain is the courier's: also the types that a newer version of it publishes.
    assert catalogue.publisher("parcel.lost") == "courier"
    assert catalogue.publisher("letter.lost") is None


@pytest.mark.parametrize("types", ['"run.completed.success"', '"run.invented"'])
def test_nobody_publishes_in_anothers_domain(tmp_path: Path, types: str) -> None:
    with pytest.raises(InvalidEvents, match="the types of run are those of runs"):
        read_catalogue({"courier": publishing(tmp_path, types)})


def test_a_published_name_is_checked_where_it_is_declared(tmp_path: Path) -> None:
    with pytest.raises(InvalidEvents, match="CourierService publishes: 'Parcel' is no type"):
        read_catalogue({"courier": publishing(tmp_path, '"Parcel"')})


def test_what_nobody_publishes_is_consumed_with_a_warning(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = compile_target(tmp_path, consumer("Note", '"run.completed.sucess"'))
    assert read_catalogue({"courier": path}).consumed_types() == [*OURS, "run.completed.sucess"]
    assert "courier.Note consumes run.completed.sucess, which nobody publishes" in caplog.text


def test_an_event_is_read_as_proto_json() -> None:
    catalogue = KindCatalogue([])
    text = b'{"id":"1","type":"a.b","version":2,"timestamp":"1700000000000","resourceId":"r"}'
    assert catalogue.read_event(text) == EventHead("1", "a.b", 2, 1_700_000_000_000, "r")
    assert catalogue.read_event(b'{"timestamp": 5, "resource_id": "r"}').timestamp == 5
    with pytest.raises(ArgsRefused):
        catalogue.read_event(b'{"version": "first"}')


def test_a_subscriber_gets_one_job_of_an_event_that_sorts_where_the_event_does() -> None:
    event = new_id()
    job = job_id_of(event, "courier.Note")
    assert job == job_id_of(event, "courier.Note")
    assert job not in {
        event,
        job_id_of(event, "courier.Shout"),
        job_id_of(new_id(), "courier.Note"),
    }
    assert (job.version, job.variant) == (7, event.variant)
    assert job.bytes[:6] == event.bytes[:6]
    assert job_id_of(UUID(int=1), "a").bytes[:6] == bytes(6)


def test_a_copy_of_the_event_that_reads_something_else_is_refused(tmp_path: Path) -> None:
    methods = consumer("Note", SUCCESS)
    path = compile_target(tmp_path, methods)
    files = FileDescriptorSet.FromString(path.read_bytes())
    [copy] = [file for file in files.file if file.name.endswith("integration_event.proto")]
    # A newer copy has fields more, an older one fewer: both read what is written here.
    message = next(each for each in copy.message_type if each.name == "IntegrationEvent")
    added = message.field.add(name="weather", number=99)
    added.type, added.label = added.TYPE_STRING, added.LABEL_OPTIONAL
    path.write_bytes(files.SerializeToString())
    assert read_catalogue({"courier": path}).consumed_types() == [*OURS, "run.completed.success"]
    [timestamp] = [field for field in message.field if field.name == "timestamp"]
    timestamp.type = timestamp.TYPE_STRING
    path.write_bytes(files.SerializeToString())
    with pytest.raises(InvalidKind, match=r"IntegrationEvent\.timestamp is another field"):
        read_catalogue({"courier": path})
