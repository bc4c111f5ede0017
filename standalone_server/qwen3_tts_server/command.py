"""`qwen3-tts-live serve`: open the engine, listen, and end well."""

from __future__ import annotations

import argparse
import asyncio
import gc
import importlib.util
import logging
import signal
from pathlib import Path

from qwen3_tts_live.errors import BackendUnavailableError
from qwen3_tts_live.factory import SessionLimits, open_synthesizer
from qwen3_tts_live.synthesizer import Synthesizer
from qwen3_tts_server import logs
from qwen3_tts_server.options import ServerOptions, add_arguments, from_arguments
from qwen3_tts_server.systemd import Systemd

__all__ = ["Serve"]

logger = logging.getLogger(__name__)


class Serve:
    """The command, as the command line finds it through its entry point."""

    help = "run the standalone server and its WebUI"
    description = (
        "Serves POST /tts/stream, POST /tts/interrupt, a WebUI at /, /health, /ready and /metrics. "
        "Without a checkpoint it speaks with the embedded voice."
    )

    @staticmethod
    def add_arguments(parser: argparse.ArgumentParser) -> None:
        """Add the flags."""
        add_arguments(parser)

    @staticmethod
    async def run(arguments: argparse.Namespace) -> int:
        """Serve until SIGTERM or Ctrl-C."""
        if importlib.util.find_spec("aiohttp") is None:
            raise BackendUnavailableError("serve needs: pip install 'qwen3-tts-live[server]'")
        options = from_arguments(arguments)
        logs.configure(options.log_format, options.log_level)
        return await serve(options)


async def serve(options: ServerOptions) -> int:
    """Run the server until it is told to stop."""
    from qwen3_tts_server.app import Server  # needs aiohttp, which `--help` does not

    stopping = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stopping.set)

    server, systemd = Server(options), Systemd(options.supervision)
    port = await server.start()
    where = " and ".join(_addresses(options, port))
    logger.info("listening at %s; /ready says when the engine is there", where)
    synthesizer = None
    async with systemd.watching(server.alive):
        try:
            synthesizer = await _opened_unless(stopping, options)
            if synthesizer is not None:
                # What is there now stays. To look through all of it again, whenever enough has
                # come and gone, would hold every stream up for a tenth of a second.
                gc.collect()
                gc.freeze()
                server.open(synthesizer)
                logger.info("%s speaks at %s", synthesizer.info.model, where)
                _warn_if_open(options, port)
                systemd.tell("READY=1")
                await stopping.wait()
                logger.info("stopping: streams may go on for %g s", options.drain_timeout)
        finally:
            for number in (signal.SIGINT, signal.SIGTERM):
                loop.remove_signal_handler(number)  # a second signal ends the process at once
            systemd.tell("STOPPING=1")
            await server.stop()
            gc.unfreeze()
            if synthesizer is not None:
                await synthesizer.aclose()
    logger.info("stopped")
    return 0


async def _opened_unless(stopping: asyncio.Event, options: ServerOptions) -> Synthesizer | None:
    """Open the engine; None if the server was told to stop meanwhile."""
    address = engine_address(options)
    limits = SessionLimits(
        max_sessions=options.max_clients,
        max_queued=options.max_queued,
        max_utterances=options.max_streams,
        max_text=options.max_text,
        idle_timeout=options.idle_timeout,
    )
    # What is said about Qwen3-TTS means nothing to the other engines, and its defaults are ours.
    qwen = options.qwen if address.startswith("qwen:") else None
    opening = asyncio.create_task(
        open_synthesizer(address, limits=limits, qwen=qwen, api_key=options.engine_key)
    )
    told = asyncio.create_task(stopping.wait())
    try:
        await asyncio.wait((opening, told), return_when=asyncio.FIRST_COMPLETED)
        return opening.result() if opening.done() else None
    finally:
        told.cancel()
        opening.cancel()
        await asyncio.gather(opening, told, return_exceptions=True)


def engine_address(options: ServerOptions) -> str:
    """Return the address that `--engine auto` stands for, saying why; any other as it is."""
    if options.engine != "auto":
        return options.engine
    if options.model_path is None:
        logger.info("no --model-path: speaking with the embedded voice")
        return "preview:"
    if importlib.util.find_spec("torch") is None:
        logger.warning(
            "torch is not installed, so %s is not used: speaking with the embedded voice; "
            "for Qwen3-TTS: pip install 'qwen3-tts-live[qwen]'",
            options.model_path,
        )
        return "preview:"
    if options.model_path.startswith((".", "/", "~")) and not Path(options.model_path).exists():
        logger.warning("%s does not exist: speaking with the embedded voice", options.model_path)
        return "preview:"
    return f"qwen:{options.model_path}"


def _addresses(options: ServerOptions, port: int) -> list[str]:
    """Return where the server listens, as its users write it."""
    found = []
    if options.port is not None:
        host = "localhost" if _is_open(options) else options.host
        found.append(f"http://{host}:{port}/")
    if options.unix is not None:
        found.append(f"unix:{options.unix}")
    return found


def _is_open(options: ServerOptions) -> bool:
    return options.port is not None and options.host in ("0.0.0.0", "::", "")  # a comparison


def _warn_if_open(options: ServerOptions, port: int) -> None:
    if _is_open(options) and not options.api_keys:
        logger.warning(
            "listening on every interface without a key: anyone who reaches port %d can speak "
            "and interrupt; --api-key KEY asks for a key, --host 127.0.0.1 keeps it to this machine",
            port,
        )
