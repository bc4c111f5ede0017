"""A program that starts servers in processes of their own, each in a few milliseconds.

Each line that it reads is a port, or 0; the answer is the pid and the port of a server, which has
been forked with everything imported. They speak as the scripted backend does, at once, and end on
SIGTERM as `serve` does.
"""

from __future__ import annotations

import asyncio
import os
import signal
import sys

from fakes import ScriptedBackend
from qwen3_tts_live.session import LiveSynthesizer
from qwen3_tts_server.app import Server
from qwen3_tts_server.options import ServerOptions


async def serve(port: int) -> None:
    stopping = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stopping.set)
    async with LiveSynthesizer(ScriptedBackend()) as synthesizer:
        server = Server(ServerOptions(host="127.0.0.1", port=port, drain_timeout=0.1))
        port = await server.start()
        server.open(synthesizer)
        os.write(1, f"{os.getpid()} {port}\n".encode())
        await stopping.wait()
        await server.stop()


if __name__ == "__main__":
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # nobody waits for them here
    for line in sys.stdin:
        if os.fork() == 0:
            os.close(0)
            asyncio.run(serve(int(line)))
            os._exit(0)
