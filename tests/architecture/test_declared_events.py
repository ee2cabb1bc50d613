"""What services say that they publish is declared as a type, and the other way round."""

from kongflow_common.eventing.declared_types import DECLARED_TYPES
from kongflow_common.eventing.event_type import Layer, domain_of
from kongflow_workerqueue.catalogue.catalogue import built_in_kinds, built_in_publications
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


def test_domain_events_are_replayed_by_a_kind_of_their_owner_that_events_may_enqueue() -> None:
    kinds = {kind.kind: kind for kind in built_in_kinds()}
    replayed = [type_ for type_ in DECLARED_TYPES if type_.replayed_by]
    assert replayed
    owners = {publication.domain: publication.target for publication in built_in_publications()}
    for type_ in replayed:
        kind = kinds[type_.replayed_by]
        assert kind.enqueuers == ("events",)
        # A domain has one owner, whatever the layer.
        assert kind.target == owners.setdefault(domain_of(type_.name), kind.target)
    assert {kind.kind for kind in kinds.values() if kind.enqueuers} == {
        type_.replayed_by for type_ in replayed
    }


def test_the_page_of_events_shows_the_types_that_are_declared() -> None:
    present = PAGE.read_text(encoding="utf-8")
    assert page(present) == present, "`make protos` writes it anew"
