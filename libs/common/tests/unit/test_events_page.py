"""The code that docs/events.md shows is run."""

import re
from collections.abc import Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from uuid import uuid4

import orjson
import pytest
from google.protobuf import descriptor_pb2, descriptor_pool, message_factory
from google.protobuf.json_format import ParseDict
from grpc_tools import protoc

from kongflow.events.v1 import integration_event_pb2
from kongflow.workerqueue.v1 import job_options_pb2
from kongflow_common.eventing.publisher import EventPublisher
from kongflow_common.ids import new_id
from kongflow_common.testing.clocks import FixedClock
from kongflow_common.testing.interest import FixedInterest

ROOT = Path(__file__).resolve().parents[4]
PAGE = (ROOT / "docs" / "events.md").read_text()
SHIPPED = "order.shipped.success"
ENVIRONMENT = uuid4()


def blocks(language: str) -> Sequence[str]:
    return re.findall(rf"^```{language}\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)


class UnitOfWork:
    """Keeps what is added where it is committed."""

    def __init__(self, *, stock: bool = True) -> None:
        self._stock = stock
        self._added: list[tuple[str, Any]] = []
        self.kept: list[tuple[str, Any]] = []
        self.outbox = SimpleNamespace(add=self._adds("outbox"))
        self.published = SimpleNamespace(add=self._adds("published"))
        self.orders = SimpleNamespace(add=self._adds("orders"))
        self.stock = SimpleNamespace(reserve=self._reserve)

    def __call__(self) -> "UnitOfWork":
        return self

    async def __aenter__(self) -> "UnitOfWork":
        return self

    async def __aexit__(self, *_: object) -> None:
        self._added.clear()

    async def commit(self) -> None:
        self.kept += self._added

    def _adds(self, name: str) -> Any:
        async def add(*items: object) -> None:
            self._added.extend((name, item) for item in items)

        return add

    async def _reserve(self, order_id: str) -> None:
        if not self._stock:
            raise LookupError(order_id)
        self._added.append(("stock", order_id))


@pytest.fixture(scope="module")
def shown() -> dict[str, Any]:
    code: dict[str, Any] = {"__name__": "shown"}
    for block in blocks("python"):
        exec(compile(block, "docs/events.md", "exec"), code)
    return code


def events(*wanted: str) -> EventPublisher:
    return EventPublisher(FixedInterest(*wanted), FixedClock(), new_id)


async def test_a_domain_event_holds_together_with_what_its_handlers_do(
    shown: dict[str, Any],
) -> None:
    data = shown["OrderPlaced"](customer_id="c-1", total_cents=120)
    uow = UnitOfWork()
    await shown["PlaceOrder"](uow, events())("o-1", data, ENVIRONMENT)
    kept = dict(uow.kept)
    assert list(kept) == ["orders", "stock", "published"]
    event = kept["published"]
    assert (event.type, event.version, event.resource_id) == ("order.placed", 2, "o-1")
    assert orjson.loads(event.data) == {"customerId": "c-1", "totalCents": 120}
    assert event.belonging.environment_id == ENVIRONMENT
    empty = UnitOfWork(stock=False)
    with pytest.raises(LookupError):
        await shown["PlaceOrder"](empty, events())("o-1", data, ENVIRONMENT)
    assert not empty.kept


def test_data_of_the_version_before_are_read_as_the_newest(shown: dict[str, Any]) -> None:
    old = {"customerId": "c-1", "total": 1.2}
    assert shown["TYPES"].newest("order.placed", 1, old) == (
        2,
        {"customerId": "c-1", "totalCents": 120},
    )
    read = shown["ORDER_PLACED"].read(1, old)
    assert read == shown["OrderPlaced"](customer_id="c-1", total_cents=120)


async def test_an_integration_event_is_enqueued_where_it_is_consumed(
    shown: dict[str, Any],
) -> None:
    for wanted, names in (((SHIPPED,), ["outbox", "published"]), ((), ["published"])):
        uow = UnitOfWork()
        await shown["ShipOrder"](uow, events(*wanted))("o-1", "post", ENVIRONMENT)
        assert [name for name, _ in uow.kept] == names


async def test_the_consumer_is_called_with_what_was_published(
    shown: dict[str, Any], tmp_path: Path
) -> None:
    [proto] = [block for block in blocks("proto") if "WarehouseTasksService" in block]
    (tmp_path / "warehouse.proto").write_text(proto)
    out = tmp_path / "descriptors"
    well_known = Path(protoc.__file__).parent / "_proto"
    includes = [f"-I{each}" for each in (tmp_path, ROOT / "protos", well_known)]
    assert protoc.main(["", *includes, f"-o{out}", "warehouse.proto"]) == 0
    [file] = descriptor_pb2.FileDescriptorSet.FromString(out.read_bytes()).file
    _, warehouse = file.service
    options = warehouse.method[0].options
    assert options.Extensions[integration_event_pb2.consumes].types == [SHIPPED]
    assert options.Extensions[job_options_pb2.job].kind == "warehouse.noteShipment"
    owner = file.service[0].options
    assert owner.Extensions[integration_event_pb2.publishes].types == [SHIPPED]

    uow = UnitOfWork()
    await shown["ShipOrder"](uow, events(SHIPPED))("o-1", "post", ENVIRONMENT)
    message = dict(uow.kept)["outbox"]
    pool = descriptor_pool.Default()
    pool.Add(file)
    request = message_factory.GetMessageClass(
        pool.FindMessageTypeByName("warehouse.v1.NoteShipmentRequest")
    )()
    ParseDict({"event": orjson.loads(message.args)}, request)
    noted: list[tuple[str, ...]] = []

    async def note(*said: str) -> None:
        noted.append(said)

    await shown["WarehouseTasksServicer"](note).NoteShipment(request, None)
    assert noted == [(str(dict(uow.kept)["published"].id), "o-1", "post")]
