"""Which system is called, and in whose name."""

import os
from pathlib import Path

import pytest

from cli.tests.calls.conftest import Run
from cli.tests.calls.recorded_system import RecordedSystem
from kongflow_common.auth.principals import CallerKind


def test_operator_in_an_environment(system: RecordedSystem, run: Run) -> None:
    ended = run("events", "list", "--environment", system.environment_id)
    assert ended.code == 0, ended.err
    (call,) = system.calls
    assert call.principal.kind is CallerKind.OPERATOR
    assert call.environment is not None
    assert str(call.environment.environment_id) == system.environment_id


def test_keys_of_the_environment_variables_come_first(
    system: RecordedSystem, run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    system.write_connection_file(tmp_path / ".kongflow", api_key="tr_x", operator_token="op_x")
    assert run("events", "list").code == 4
    monkeypatch.setenv("KONGFLOW_API_KEY", system.api_key)
    monkeypatch.setenv("KONGFLOW_OPERATOR_TOKEN", system.operator_token)
    assert run("events", "list").code == 0
    assert run("orgs", "list").code == 0


class TestTarget:
    def test_uses_the_environment_variables_only(
        self, system: RecordedSystem, run: Run, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        # The development system's key is nobody else's to see.
        ended = run("events", "list", "--target", system.address)
        assert ended.code == 4
        assert "KONGFLOW_API_KEY" in ended.err
        assert system.calls == []
        monkeypatch.setenv("KONGFLOW_API_KEY", system.api_key)
        assert run("events", "list", "--target", system.address).code == 0

    def test_by_context(
        self, system: RecordedSystem, run: Run, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("KONGFLOW_API_KEY", system.api_key)
        monkeypatch.setenv("KONGFLOW_TARGET", f"events={system.address},runs={system.address}")
        assert run("events", "list").code == 0
        assert run("runs", "list").code == 0
        monkeypatch.setenv("KONGFLOW_OPERATOR_TOKEN", system.operator_token)
        ended = run("orgs", "list")
        assert ended.code == 2
        assert "no address of tenancy" in ended.err

    @pytest.mark.parametrize(
        "target",
        ["localhost", "localhost:", ":1", "http://localhost:1", "localhost:http", "events="],
    )
    def test_that_is_no_address(
        self, system: RecordedSystem, run: Run, monkeypatch: pytest.MonkeyPatch, target: str
    ) -> None:
        monkeypatch.setenv("KONGFLOW_API_KEY", system.api_key)
        ended = run("events", "list", "--target", target)
        assert ended.code == 2
        assert ended.err.startswith("kongflow: --target")

    def test_tls_is_not_spoken_with_a_server_that_has_none(
        self, system: RecordedSystem, run_process: Run
    ) -> None:
        ended = run_process(
            *("events", "list", "--target", f"https://{system.address}"),
            KONGFLOW_API_KEY=system.api_key,
        )
        assert ended.code == 5
        assert "TLS" in ended.err
        assert ended.err.count("\n") == 1
        assert system.calls == []


@pytest.mark.parametrize("key", ["tr_\u00fc", "tr_a b", "tr_a\nb", "x" * 600])
def test_a_key_that_cannot_be_one(
    system: RecordedSystem, run: Run, monkeypatch: pytest.MonkeyPatch, key: str
) -> None:
    monkeypatch.setenv("KONGFLOW_API_KEY", key)
    ended = run("events", "list")
    assert ended.code == 4
    assert "KONGFLOW_API_KEY" in ended.err
    assert key not in ended.err


class TestStateFolder:
    def test_that_is_named(
        self, system: RecordedSystem, run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        system.write_connection_file(tmp_path / "elsewhere")
        (tmp_path / ".kongflow" / "dev.json").unlink()
        assert run("events", "list").code == 5
        assert run("events", "list", "--state-dir", str(tmp_path / "elsewhere")).code == 0
        monkeypatch.setenv("KONGFLOW_STATE_DIR", str(tmp_path / "elsewhere"))
        assert run("events", "list").code == 0

    def test_without_a_running_system(
        self, system: RecordedSystem, run: Run, tmp_path: Path
    ) -> None:
        (tmp_path / ".kongflow" / "dev.json").unlink()
        ended = run("events", "list")
        assert ended.code == 5
        assert "is not running; `kongflow up` starts it" in ended.err

    def test_nowhere(self, system: RecordedSystem, run: Run, tmp_path: Path) -> None:
        (tmp_path / ".kongflow" / "dev.json").unlink()
        (tmp_path / ".kongflow").rmdir()
        ended = run("events", "list")
        assert ended.code == 5
        assert "`kongflow up`" in ended.err

    @pytest.mark.parametrize("content", ["", "{", "[]", "{}", '{"grpc": 1}', "\ud800"])
    def test_that_is_damaged(
        self, system: RecordedSystem, run: Run, tmp_path: Path, content: str
    ) -> None:
        file = tmp_path / ".kongflow" / "dev.json"
        file.write_text(content, errors="surrogatepass")
        ended = run("events", "list")
        assert ended.code == 1
        assert ended.err.startswith(f"kongflow: {file} is not")

    def test_without_the_context(self, system: RecordedSystem, run: Run, tmp_path: Path) -> None:
        system.write_connection_file(tmp_path / ".kongflow", grpc={"events": system.address})
        ended = run("runs", "list")
        assert ended.code == 1
        assert "no address of runs" in ended.err

    @pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a folder away")
    def test_of_somebody_else_is_used_only_when_named(
        self, system: RecordedSystem, run: Run, tmp_path: Path
    ) -> None:
        os.chown(tmp_path / ".kongflow", 12_345, 12_345)
        ended = run("events", "list")
        assert ended.code == 1
        assert "belongs to another user" in ended.err
        assert system.calls == []
        assert run("events", "list", "--state-dir", ".kongflow").code == 0
