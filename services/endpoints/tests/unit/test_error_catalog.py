"""Every error of the domain has a meaning on the wire."""

from kongflow_common.rpc.error_catalog import assert_total
from kongflow_endpoints.domain import errors
from kongflow_endpoints.rpc.error_catalog import CATALOG


def test_the_catalogue_is_total() -> None:
    assert_total(CATALOG, errors)
