"""`kongflow accounts`."""

from cli.tests.calls.conftest import Run
from cli.tests.calls.recorded_system import RecordedSystem
from kongflow.events.v1 import events_service_pb2 as pb


def test_delete_names_the_account(system: RecordedSystem, run: Run) -> None:
    system.answers["DeleteExternalAccount"] = lambda request: pb.DeleteExternalAccountResponse()
    ended = run("accounts", "delete", "acme")
    assert (ended.code, ended.err) == (0, "Deleted account acme.\n")
    assert system.only_call("DeleteExternalAccount", pb.DeleteExternalAccountRequest) == (
        pb.DeleteExternalAccountRequest(account_id="acme")
    )
