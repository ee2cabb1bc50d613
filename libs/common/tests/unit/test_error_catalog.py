from types import ModuleType

import grpc
import pytest

from kongflow_common import auth, errors
from kongflow_common.auth import errors as auth_errors
from kongflow_common.errors import KongflowError, NotFound
from kongflow_common.rpc import error_catalog
from kongflow_common.rpc.error_catalog import ErrorCatalog, ErrorSpec, assert_total, code_of


class RunNotFound(NotFound):
    """The run was not found."""


def test_the_errors_of_common_are_known_to_every_catalogue() -> None:
    catalog = ErrorCatalog("runs.kongflow", {})
    assert_total(catalog, auth_errors, error_catalog, auth)
    known_base = {KongflowError, errors.InvalidField}
    for name in errors.__all__:
        error = getattr(errors, name)
        if isinstance(error, type) and issubclass(error, KongflowError):
            assert error in known_base or catalog.covers(error), name


def test_a_missing_entry_is_named() -> None:
    module = ModuleType(__name__)
    module.RunNotFound = RunNotFound  # type: ignore[attr-defined]
    with pytest.raises(AssertionError, match="RunNotFound"):
        assert_total(ErrorCatalog("runs.kongflow", {}), module)
    spec = ErrorSpec(grpc.StatusCode.NOT_FOUND, "RUN_NOT_FOUND")
    assert_total(ErrorCatalog("runs.kongflow", {RunNotFound: spec}), module)


def test_an_error_without_an_entry_is_what_its_base_is() -> None:
    status = ErrorCatalog("runs.kongflow", {}).status_of(RunNotFound())
    assert code_of(status) is grpc.StatusCode.NOT_FOUND


def test_an_entry_overrides_the_general_one() -> None:
    spec = ErrorSpec(grpc.StatusCode.ABORTED, "GONE")
    status = ErrorCatalog("runs.kongflow", {NotFound: spec}).status_of(RunNotFound())
    assert code_of(status) is grpc.StatusCode.ABORTED


@pytest.mark.parametrize("domain", ["runs", "kongflow", "Runs.kongflow", "runs.kongflow.dev"])
def test_a_domain_has_its_form(domain: str) -> None:
    with pytest.raises(ValueError, match=r"of the form"):
        ErrorCatalog(domain, {})


@pytest.mark.parametrize("reason", ["", "run_not_found", "RUN-NOT-FOUND", "_RUN", "RUN_"])
def test_a_reason_has_its_form(reason: str) -> None:
    with pytest.raises(ValueError, match="UPPER_SNAKE_CASE"):
        ErrorCatalog("runs.kongflow", {RunNotFound: ErrorSpec(grpc.StatusCode.NOT_FOUND, reason)})


def test_nothing_that_failed_is_ok() -> None:
    with pytest.raises(ValueError, match="OK"):
        ErrorCatalog("runs.kongflow", {RunNotFound: ErrorSpec(grpc.StatusCode.OK, "FINE")})
