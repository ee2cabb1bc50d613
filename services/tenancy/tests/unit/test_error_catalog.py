"""Every error of the context has a meaning on the wire."""

from kongflow_common.rpc.error_catalog import assert_total
from kongflow_tenancy import adapters, application, domain
from kongflow_tenancy.rpc.error_catalog import CATALOG


def test_the_catalogue_is_total() -> None:
    assert_total(CATALOG, domain, application, adapters)
