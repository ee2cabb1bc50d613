"""A worker that is given what is no descriptor set ends at once and says what is wrong."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from google.protobuf.descriptor_pb2 import FileDescriptorProto, FileDescriptorSet

from kongflow.events.tasks.v1 import events_tasks_service_pb2
from services.workerqueue.tests.worker.queue_under_test import QueueUnderTest
from services.workerqueue.tests.worker.worker_process import worker_process


def absent(_path: Path) -> None:
    """Writes nothing."""


def text(path: Path) -> None:
    path.write_text("service Warehouse {}")


def without_its_imports(path: Path) -> None:
    file = FileDescriptorProto.FromString(events_tasks_service_pb2.DESCRIPTOR.serialized_pb)
    path.write_bytes(FileDescriptorSet(file=[file]).SerializeToString())


@pytest.mark.parametrize(
    ("write", "words"),
    [
        (absent, "The descriptor set warehouse.binpb of warehouse cannot be read: No such file"),
        (text, "warehouse.binpb is not a whole descriptor set"),
        (without_its_imports, "warehouse.binpb is not a whole descriptor set"),
    ],
)
async def test_it_is_told_in_a_line(
    queue: QueueUnderTest, tmp_path: Path, write: Callable[[Path], None], words: str
) -> None:
    path = tmp_path / "warehouse.binpb"
    write(path)
    log = tmp_path / "log"
    sets = json.dumps({"warehouse": str(path)})
    with worker_process(queue, {}, log, KONGFLOW_TASK_DESCRIPTOR_SETS=sets) as worker:
        assert worker.process.wait(timeout=60) == 2
    written = log.read_text()
    assert words in written
    assert "Traceback" not in written
