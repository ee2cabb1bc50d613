"""A small process in the place of a service: a gRPC health service on each of its listeners.

Arguments: `serve NAME LISTENER...`, `task NAME [JSON]`, `fail TEXT`, `misconfigured TEXT`,
`stubborn NAME`, `mute NAME`. SIGUSR1 ends one that serves as a setting does that it cannot use.
"""

import asyncio
import json
import os
import signal
import sys
from concurrent import futures

import grpc
from grpc_health.v1 import health, health_pb2, health_pb2_grpc


def log(name: str, message: str, **fields: object) -> None:
    line = {"time": "2026-01-01T00:00:00Z", "level": "INFO", "service": name, "message": message}
    # Compact, as the services write it.
    print(json.dumps({**line, **fields}, separators=(",", ":")), file=sys.stderr, flush=True)


async def serve(name: str, listeners: list[str]) -> None:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    loop.add_signal_handler(signal.SIGUSR1, os._exit, 2)
    servicer = health.HealthServicer()
    servicer.set("", health_pb2.HealthCheckResponse.SERVING)
    server = grpc.server(futures.ThreadPoolExecutor(2), options=[("grpc.so_reuseport", 0)])
    health_pb2_grpc.add_HealthServicer_to_server(servicer, server)
    for listener in listeners:
        server.add_insecure_port(listener)
    server.start()
    log(name, "serving", listeners=listeners, pid=os.getpid())
    await stop.wait()
    log(name, "drained")
    server.stop(0.2).wait()


def main() -> None:
    match sys.argv[1:]:
        case ["serve", name, *listeners]:
            asyncio.run(serve(name, listeners))
        case ["task", name]:
            log(name, "done")
        case ["task", name, answer]:
            log(name, "done")
            print(answer)
        case ["fail", text]:
            sys.exit(text)
        case ["misconfigured", text]:
            print(text, file=sys.stderr)
            sys.exit(2)
        case ["mute", _]:
            signal.pause()
        case ["stubborn", name]:
            for number in (signal.SIGTERM, signal.SIGINT):
                signal.signal(number, signal.SIG_IGN)
            log(name, "never ends by itself")
            while True:
                signal.pause()
        case _:
            sys.exit("unknown arguments")


if __name__ == "__main__":
    main()
