"""Queues from program to wire."""

from google.protobuf.duration_pb2 import Duration

from kongflow.workerqueue.v1 import queue_pb2 as pb
from kongflow_common.rpc.timestamps import to_timestamp
from kongflow_workerqueue.application.queue_queries import Queue, QueueStats, Throughput


def queue_to_proto(queue: Queue) -> pb.Queue:
    """Write a queue."""
    oldest_wait = Duration()
    oldest_wait.FromTimedelta(queue.depth.oldest_wait)
    return pb.Queue(
        name=queue.name,
        pause_time=to_timestamp(queue.paused_at) if queue.paused_at else None,
        available_count=queue.depth.available,
        running_count=queue.depth.running,
        waiting_count=queue.depth.waiting,
        oldest_wait=oldest_wait,
        max_running=queue.max_running or 0,
    )


def stats_to_proto(stats: QueueStats) -> pb.QueueStats:
    """Write what a queue has done."""
    return pb.QueueStats(
        queue=queue_to_proto(stats.queue),
        discarded_count=stats.discarded,
        last_minute=_throughput(stats.last_minute),
        last_five_minutes=_throughput(stats.last_five_minutes),
        environments=[
            pb.QueueStats.EnvironmentShare(
                environment_id=str(share.environment_id or ""),
                unfinished_count=share.unfinished,
                running_count=share.running,
            )
            for share in stats.environments
        ],
    )


def _throughput(throughput: Throughput) -> pb.QueueStats.Throughput:
    return pb.QueueStats.Throughput(
        completed_count=throughput.completed,
        discarded_count=throughput.discarded,
        cancelled_count=throughput.cancelled,
    )
