"""HTTP by hand: bytes to a socket, and the answer's status, head and body."""

import asyncio
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class RawAnswer:
    """`status` 0: the connection was closed without an answer."""

    status: int
    head: str
    body: bytes
    closed: bool


async def send(address: tuple[str, int], *chunks: bytes, pause_s: float = 0.0, wait_s: float = 60.0) -> RawAnswer:
    """Send the chunks, with a pause between them, and read one answer."""
    reader, writer = await asyncio.open_connection(*address, limit=2**22)
    try:
        async with asyncio.timeout(wait_s):
            writing = asyncio.create_task(_write(writer, chunks, pause_s))
            answer = await _read(reader, with_body=not chunks[0].startswith(b"HEAD "))
            writing.cancel()
            return answer
    finally:
        writer.close()


async def _write(writer: asyncio.StreamWriter, chunks: tuple[bytes, ...], pause_s: float) -> None:
    for chunk in chunks:
        try:
            writer.write(chunk)
            await writer.drain()
        except ConnectionError:
            return  # refused while we were still sending: the answer says why
        await asyncio.sleep(pause_s)


async def _read(reader: asyncio.StreamReader, *, with_body: bool = True) -> RawAnswer:
    try:
        head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
    except (asyncio.IncompleteReadError, ConnectionError):
        return RawAnswer(0, "", b"", True)
    if head.startswith("HTTP/1.1 100"):
        return await _read(reader, with_body=with_body)
    fields = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in head.split("\r\n")[1:])}
    length = int(fields.get("content-length", "0"))
    body = await reader.readexactly(length) if length and with_body else b""
    return RawAnswer(int(head.split(" ")[1]), head, body, fields.get("connection", "").lower() == "close")
