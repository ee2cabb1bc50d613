from kongflow_common.rpc.error_catalog import assert_total
from kongflow_workerqueue import domain
from kongflow_workerqueue.rpc.error_catalog import CATALOG


def test_every_error_of_the_domain_means_something_on_the_wire() -> None:
    assert_total(CATALOG, domain)
