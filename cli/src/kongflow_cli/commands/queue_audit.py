"""`kongflow queue audit`: shows who stepped into the worker queue, how, when and why."""

import json
from datetime import datetime
from typing import Annotated

import typer

from kongflow.workerqueue.v1 import workerqueue_service_pb2
from kongflow.workerqueue.v1.audit_entry_pb2 import AuditEntry
from kongflow.workerqueue.v1.workerqueue_service_pb2_grpc import WorkerQueueServiceStub
from kongflow_cli.client.listing import print_list
from kongflow_cli.client.option_groups import with_options
from kongflow_cli.client.options import PageOptions, as_operator_of_any_environment, filtered_pages
from kongflow_cli.client.session import Session
from kongflow_cli.input.filter_text import all_of, is_after, text_is
from kongflow_cli.input.states import AuditAction
from kongflow_cli.input.time_text import parse_since
from kongflow_cli.output.cells import Cell, Column, time_of, word
from kongflow_cli.output.proto_json import document_of_struct

_SESSION = as_operator_of_any_environment("workerqueue")


def _subject(entry: AuditEntry) -> Cell:
    if entry.queued_job_id:
        return f"{entry.kind} {entry.queued_job_id}"
    if entry.periodic_job:
        return f"periodic {entry.periodic_job}"
    if entry.redrive_id:
        return f"redrive {entry.redrive_id}"
    if entry.action == AuditEntry.ACTION_LIMIT:
        most = f"at most {entry.max_running}" if entry.max_running else "no limit"
        return f"queue {entry.queue}: {most}"
    return f"queue {entry.queue}"


def _former_args(entry: AuditEntry) -> Cell:
    if not entry.HasField("former_args"):
        return None
    return json.dumps(document_of_struct(entry.former_args), ensure_ascii=False)


_COLUMNS: list[Column[AuditEntry]] = [
    Column("When", lambda entry: time_of(entry, "create_time")),
    Column("By", lambda entry: entry.caller_name),
    Column("Action", lambda entry: word(AuditEntry.Action.Name, entry.action, "ACTION_")),
    Column("What", _subject),
    Column("Reason", lambda entry: entry.reason),
    Column("Queue", lambda entry: entry.queue, wide=True),
    Column("Environment", lambda entry: entry.environment_id, wide=True),
    Column("Credential", lambda entry: entry.caller_key_id, wide=True),
    Column("Former arguments", _former_args, wide=True),
]


@with_options(session=_SESSION, page=filtered_pages)
def list_audit_entries(
    session: Session,
    page: PageOptions,
    *,
    job: Annotated[
        str | None, typer.Option("--job", metavar="ID", help="Only what was done to this job.")
    ] = None,
    queue_name: Annotated[
        str | None, typer.Option("--queue", help="Only this queue and its jobs.")
    ] = None,
    action: Annotated[
        AuditAction | None, typer.Option(case_sensitive=False, help="Only this.")
    ] = None,
    caller: Annotated[
        str | None, typer.Option("--by", metavar="NAME", help="Only by this operator.")
    ] = None,
    since: Annotated[
        datetime | None,
        typer.Option(parser=parse_since, metavar="TIME", help="Only later: 2h, or a time."),
    ] = None,
) -> None:
    """List who stepped in, the newest first."""
    filter_text = all_of(
        text_is("queued_job_id", job),
        text_is("queue", queue_name),
        text_is("action", action.name if action else None),
        text_is("caller_name", caller),
        is_after("create_time", since),
        page.filter,
    )
    stub = WorkerQueueServiceStub(session.channel)

    def fetch(page_size: int, page_token: str) -> tuple[list[AuditEntry], str]:
        request = workerqueue_service_pb2.ListAuditEntriesRequest(
            page_size=page_size, page_token=page_token, filter=filter_text
        )
        response = session.call(stub.ListAuditEntries, request)
        return list(response.audit_entries), response.next_page_token

    print_list(session.printer, page, fetch, _COLUMNS, "Nobody has stepped in.")


def add_to(queue: typer.Typer) -> None:
    """Adds the command to those of queues."""
    queue.command("audit")(list_audit_entries)
