"""What a client sends, byte by byte, for clients that no library would be: slow, broken, or gone."""

from __future__ import annotations

import asyncio
import json
import socket
import struct

from qwen3_tts_live import wire


def post(path: str, **fields: str) -> bytes:
    body = json.dumps(fields).encode()
    head = f"POST {path} HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
    return f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body


def upgrade(path: str) -> bytes:
    head = (
        f"GET {path} HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    )
    head += f"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Protocol: {wire.SUBPROTOCOL}\r\n"
    return f"{head}Sec-WebSocket-Key: {'A' * 22}==\r\n\r\n".encode()


def frame(data: bytes | str, *, final: bool = True, compressed: bool = False) -> bytes:
    """A text message, or its first part; masked with zeros."""
    data = data.encode() if isinstance(data, str) else data
    long = len(data) > 125
    size = b"\xfe" + struct.pack("!H", len(data)) if long else bytes([0x80 | len(data)])
    return bytes([0x80 * final | 0x40 * compressed | 1]) + size + bytes(4) + data


class RawHttp:
    """A client with connections on which it can send anything.

    Args:
        port: the server's.
    """

    def __init__(self, port: int) -> None:
        self.connections: list[tuple[asyncio.StreamReader, asyncio.StreamWriter]] = []
        self._port = port

    async def send(self, data: bytes) -> asyncio.StreamReader:
        """Send it on a new connection; return what reads there."""
        reader, writer = await asyncio.open_connection("127.0.0.1", self._port)
        self.connections.append((reader, writer))
        writer.write(data)
        await writer.drain()
        return reader

    def leave(self, *, reset: bool = False) -> None:
        """Be gone, with a FIN or an RST."""
        for _, writer in self.connections:
            if reset:
                linger = struct.pack("ii", 1, 0)
                connection = writer.get_extra_info("socket")
                connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
            writer.transport.abort()
