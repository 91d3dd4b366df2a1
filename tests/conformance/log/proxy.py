"""A proxy on loopback between Kafka's clients and their broker, which knows the connections that a group is coordinated over."""

import asyncio
import contextlib
import struct
from collections.abc import Callable
from typing import Final, Literal, Self

COORDINATING: Final = frozenset({8, 9, 11, 12, 13, 14})
"""API keys of OffsetCommit, OffsetFetch, JoinGroup, Heartbeat, LeaveGroup, SyncGroup: aiokafka sends them over a connection of its own."""
Fault = Literal["", "swallow", "close", "refuse"]
"""Of what coordinates: nothing; requests vanish; the connection is closed with each; answers vanish."""


class Proxy:
    """Use as `async with`; `fault` befalls what coordinates from the next request on, `cut` befalls everything."""

    def __init__(self, port: int, broker_port: Callable[[], int]) -> None:
        self._port = port
        self._broker_port = broker_port
        self._connections: set[asyncio.Task[None]] = set()
        self.fault: Fault = ""
        self.cut = False
        self.swallowed = 0

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._accept, "127.0.0.1", self._port)
        return self

    async def __aexit__(self, *_: object) -> None:
        self._server.close()
        for task in self._connections:
            task.cancel()
        await asyncio.gather(*self._connections, return_exceptions=True)

    def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.create_task(self._serve(reader, writer))
        self._connections.add(task)
        task.add_done_callback(self._connections.discard)

    async def _serve(self, client: asyncio.StreamReader, to_client: asyncio.StreamWriter) -> None:
        broker, to_broker = await asyncio.open_connection("127.0.0.1", self._broker_port())
        coordinating = asyncio.Event()
        back = asyncio.create_task(self._answers(broker, to_client, coordinating))
        try:
            while True:
                frame = await _frame(client)
                if int.from_bytes(frame[4:6]) in COORDINATING:
                    coordinating.set()
                if self.cut or (coordinating.is_set() and self.fault == "swallow"):
                    self.swallowed += 1
                    continue
                if coordinating.is_set() and self.fault == "close":
                    self.swallowed += 1
                    break
                to_broker.write(frame)
                await to_broker.drain()
        except (asyncio.IncompleteReadError, OSError):
            pass  # either side has gone, which the other is told below
        finally:
            back.cancel()
            for writer in (to_client, to_broker):
                writer.close()
                with contextlib.suppress(OSError):
                    await writer.wait_closed()

    async def _answers(self, broker: asyncio.StreamReader, to_client: asyncio.StreamWriter, coordinating: asyncio.Event) -> None:
        with contextlib.suppress(asyncio.IncompleteReadError, OSError):
            while True:
                frame = await _frame(broker)
                if self.cut or (coordinating.is_set() and self.fault == "refuse"):
                    self.swallowed += 1
                    continue
                to_client.write(frame)
                await to_client.drain()
        to_client.close()


async def _frame(reader: asyncio.StreamReader) -> bytes:
    head = await reader.readexactly(4)
    return head + await reader.readexactly(struct.unpack(">i", head)[0])
