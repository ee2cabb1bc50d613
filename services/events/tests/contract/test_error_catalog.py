from kongflow_common.rpc.error_catalog import assert_total
from kongflow_events import adapters, application, domain
from kongflow_events.rpc.error_catalog import CATALOG


def test_every_error_of_the_context_has_a_meaning_on_the_wire() -> None:
    assert_total(CATALOG, domain, application, adapters)
