"""What services say that they publish is declared as a type, and the other way round."""

from kongflow_common.eventing.declared_types import DECLARED_TYPES
from kongflow_common.eventing.event_type import Layer, domain_of
from kongflow_workerqueue.catalogue.catalogue import built_in_publications
from tools.generate_events_page import PAGE, page


def test_every_published_type_is_declared_for_its_layer() -> None:
    published = {each.type for each in built_in_publications()}
    assert published
    domains = {domain_of(name) for name in published}
    declared = {
        type_.name
        for type_ in DECLARED_TYPES
        if type_.layer is Layer.INTEGRATION and domain_of(type_.name) in domains
    }
    assert published <= declared
    # No service sets projects up yet.
    set_up = {f"project.init.{status}" for status in ("queued", "completed", "failed")}
    assert declared - published == set_up


def test_the_page_of_events_shows_the_types_that_are_declared() -> None:
    present = PAGE.read_text(encoding="utf-8")
    assert page(present) == present, "`make protos` writes it anew"
