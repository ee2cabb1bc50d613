"""`kongflow orgs`, `projects`, `envs` and `keys`."""

from uuid import UUID

import pytest
from google.protobuf.timestamp_pb2 import Timestamp

from cli.tests.calls.conftest import Run
from cli.tests.calls.recorded_system import RecordedSystem
from kongflow.tenancy.v1 import tenancy_service_pb2 as pb
from kongflow.tenancy.v1.environment_key_pb2 import EnvironmentKey
from kongflow.tenancy.v1.environment_pb2 import Environment
from kongflow.tenancy.v1.organization_pb2 import Organization
from kongflow.tenancy.v1.project_pb2 import Project
from kongflow_common.auth.principals import CallerKind

KEY_TEXT = "tr_dev_abcdefghijklmnopqrst"


@pytest.fixture(autouse=True)
def by_the_operator(system: RecordedSystem) -> object:
    yield
    assert {call.principal.kind for call in system.calls} <= {CallerKind.OPERATOR}


class TestOrganizations:
    def test_create(self, system: RecordedSystem, run: Run) -> None:
        system.answers["CreateOrganization"] = pb.CreateOrganizationResponse(
            organization=Organization(id="o1", slug="acme", runs_enabled=True)
        )
        ended = run("orgs", "create", "acme", "--title", "Acme Inc.")
        assert "acme" in ended.out
        request = system.only_call("CreateOrganization", pb.CreateOrganizationRequest)
        assert str(UUID(request.request_id)) == request.request_id
        assert (request.slug, request.title) == ("acme", "Acme Inc.")

    def test_create_again_with_the_same_identity(self, system: RecordedSystem, run: Run) -> None:
        run("orgs", "create", "acme", "--request-id", "mine")
        request = system.only_call("CreateOrganization", pb.CreateOrganizationRequest)
        assert request.request_id == "mine"

    def test_get_and_list(self, system: RecordedSystem, run: Run) -> None:
        assert run("orgs", "get", "o1").code == 0
        assert run("orgs", "list", "--limit", "3").code == 0
        assert [call.request for call in system.calls] == [
            pb.GetOrganizationRequest(id="o1"),
            pb.ListOrganizationsRequest(page_size=3),
        ]

    def test_update_names_what_changes(self, system: RecordedSystem, run: Run) -> None:
        run("orgs", "update", "o1", "--title", "")
        run("orgs", "update", "o1", "--no-runs-enabled", "--max-execution-time", "15m")
        first, second = system.requests(pb.UpdateOrganizationRequest)
        assert list(first.update_mask.paths) == ["title"]
        assert list(second.update_mask.paths) == ["runs_enabled", "maximum_execution_time_per_run"]
        assert second.organization.id == "o1"
        assert second.organization.maximum_execution_time_per_run.seconds == 900

    def test_update_of_nothing(self, system: RecordedSystem, run: Run) -> None:
        # An empty mask would mean every field.
        assert run("orgs", "update", "o1").code == 2
        assert system.calls == []


class TestDeletions:
    def test_projects_and_environments(self, system: RecordedSystem, run: Run) -> None:
        system.answers["DeleteProject"] = pb.DeleteProjectResponse(environment_ids=["e1", "e2"])
        ended = run("projects", "delete", "p1")
        assert (ended.code, ended.out) == (0, "")
        assert "Deleted project p1 and its environments: 2." in ended.err
        assert "Deleted environment e3." in run("envs", "delete", "e3").err
        assert [call.request for call in system.calls] == [
            pb.DeleteProjectRequest(id="p1"),
            pb.DeleteEnvironmentRequest(id="e3"),
        ]


class TestProjects:
    def test_create_get_list(self, system: RecordedSystem, run: Run) -> None:
        system.answers["CreateProject"] = pb.CreateProjectResponse(project=Project(slug="shop"))
        assert run("projects", "create", "shop", "--org", "o1", "--request-id", "r").code == 0
        assert run("projects", "get", "p1").code == 0
        assert run("projects", "list", "--org", "o1", "--page-token", "t").code == 0
        assert [call.request for call in system.calls] == [
            pb.CreateProjectRequest(organization_id="o1", slug="shop", request_id="r"),
            pb.GetProjectRequest(id="p1"),
            pb.ListProjectsRequest(page_size=50, page_token="t", organization_id="o1"),
        ]


class TestEnvironments:
    def test_create_get_list(self, system: RecordedSystem, run: Run) -> None:
        arguments = ("--project", "p1", "--type", "Staging", "--request-id", "r")
        assert run("envs", "create", "stage", *arguments).code == 0
        assert run("envs", "get", "e1").code == 0
        assert run("envs", "list", "--project", "p1").code == 0
        assert [call.request for call in system.calls] == [
            pb.CreateEnvironmentRequest(
                project_id="p1", slug="stage", type=Environment.TYPE_STAGING, request_id="r"
            ),
            pb.GetEnvironmentRequest(id="e1"),
            pb.ListEnvironmentsRequest(page_size=50, project_id="p1"),
        ]

    def test_create_without_a_type(self, system: RecordedSystem, run: Run) -> None:
        assert run("envs", "create", "stage", "--project", "p1").code == 2
        assert system.calls == []


class TestKeys:
    def test_create_prints_the_text_alone_on_the_first_line(
        self, system: RecordedSystem, run: Run
    ) -> None:
        system.answers["CreateEnvironmentKey"] = pb.CreateEnvironmentKeyResponse(
            environment_key=EnvironmentKey(id="k1", hint="tr_dev_ab...st"), key_text=KEY_TEXT
        )
        ended = run("keys", "create", "--environment", "e1", "--kind", "public")
        assert ended.out.splitlines()[0] == KEY_TEXT
        assert KEY_TEXT not in ended.err
        request = system.only_call("CreateEnvironmentKey", pb.CreateEnvironmentKeyRequest)
        assert request.environment_id == "e1"
        assert request.kind == EnvironmentKey.KIND_PUBLIC
        assert not request.HasField("expire_time")
        content = run("keys", "create", "--environment", "e1", "--json").json
        assert content["key_text"] == KEY_TEXT
        assert content["environment_key"]["id"] == "k1"

    def test_create_with_an_end(self, system: RecordedSystem, run: Run) -> None:
        arguments = ("--environment", "e1", "--request-id", "r")
        run("keys", "create", *arguments, "--expires", "2026-05-01T12:00:00Z")
        run("keys", "create", *arguments, "--expires", "30d")
        absolute, relative = system.requests(pb.CreateEnvironmentKeyRequest)
        time = Timestamp()
        time.FromJsonString("2026-05-01T12:00:00Z")
        assert absolute.expire_time == time
        assert absolute.kind == EnvironmentKey.KIND_SECRET
        now = Timestamp()
        now.GetCurrentTime()
        assert abs(relative.expire_time.seconds - now.seconds - 30 * 86_400) < 60

    def test_rotate(self, system: RecordedSystem, run: Run) -> None:
        system.answers["RotateEnvironmentKey"] = pb.RotateEnvironmentKeyResponse(key_text=KEY_TEXT)
        ended = run("keys", "rotate", "k1", "--overlap", "1h")
        assert ended.out.splitlines()[0] == KEY_TEXT
        request = system.only_call("RotateEnvironmentKey", pb.RotateEnvironmentKeyRequest)
        assert (request.id, request.overlap.seconds) == ("k1", 3_600)

    def test_revoke_and_list_show_no_text(self, system: RecordedSystem, run: Run) -> None:
        key = EnvironmentKey(id="k1", hint="tr_dev_ab...st", kind=EnvironmentKey.KIND_SECRET)
        key.revoke_time.GetCurrentTime()
        system.answers["RevokeEnvironmentKey"] = pb.RevokeEnvironmentKeyResponse(
            environment_key=key
        )
        system.answers["ListEnvironmentKeys"] = pb.ListEnvironmentKeysResponse(
            environment_keys=[key]
        )
        assert "tr_dev_ab...st" in run("keys", "revoke", "k1").out
        assert "tr_dev_ab...st" in run("keys", "list", "--environment", "e1").out
        assert [call.request for call in system.calls] == [
            pb.RevokeEnvironmentKeyRequest(id="k1"),
            pb.ListEnvironmentKeysRequest(page_size=50, environment_id="e1"),
        ]

    def test_list_needs_an_environment(self, system: RecordedSystem, run: Run) -> None:
        assert run("keys", "list").code == 2
        assert system.calls == []
