"""The proxies of `deploy/`, run as they are, with other addresses: nginx and Envoy."""

from __future__ import annotations

import asyncio
import re
import socket
import sys
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from shutil import which
from typing import Any

import yaml

DEPLOY = Path(__file__).parents[1] / "deploy"

# What /etc/nginx/nginx.conf is to a package, as far as it matters; in one process, without root.
_NGINX = """
daemon off;
master_process off;
pid {folder}/nginx.pid;
events {{ }}
http {{
    client_body_temp_path {folder}/body;
    proxy_temp_path {folder}/proxy;
    fastcgi_temp_path {folder}/fastcgi;
    uwsgi_temp_path {folder}/uwsgi;
    scgi_temp_path {folder}/scgi;
    include {folder}/tts.conf;
}}
"""


def free_port() -> int:
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        return int(listening.getsockname()[1])


def changed(text: str, *changes: tuple[str, str]) -> str:
    """Replace each of what must be in `text` exactly once."""
    for old, new in changes:
        assert text.count(old) == 1, old
        text = text.replace(old, new)
    return text


def nginx_command(folder: Path, port: int, servers: Sequence[int], _: float) -> list[str]:
    first, second = servers
    text = changed(
        (DEPLOY / "nginx.conf").read_text(),
        ("    listen 80 ", f"    listen 127.0.0.1:{port} "),
        ("server 127.0.0.1:9000", f"server 127.0.0.1:{first}"),
        ("server 127.0.0.1:9001", f"server 127.0.0.1:{second}"),
        ("/var/log/nginx/tts.log", f"{folder}/tts.log"),
        # So that a test of its own can be over it, and no other can.
        ("rate=100r/s", "rate=1r/m"),
    )
    (folder / "tts.conf").write_text(text)
    (folder / "nginx.conf").write_text(_NGINX.format(folder=folder))
    return [_found("nginx"), "-e", "stderr", "-p", str(folder), "-c", str(folder / "nginx.conf")]


def envoy_command(folder: Path, port: int, servers: Sequence[int], every: float) -> list[str]:
    config: dict[str, Any] = yaml.safe_load((DEPLOY / "envoy.yaml").read_text())
    (listener,) = config["static_resources"]["listeners"]
    (cluster,) = config["static_resources"]["clusters"]
    listener["address"]["socket_address"] = {"address": "127.0.0.1", "port_value": port}
    (locality,) = cluster["load_assignment"]["endpoints"]
    locality["lb_endpoints"] = [
        {"endpoint": {"address": {"socket_address": {"address": "127.0.0.1", "port_value": at}}}}
        for at in servers
    ]
    (check,) = cluster["health_checks"]
    check |= {"interval": f"{every}s", "no_traffic_interval": f"{every}s"}
    (folder / "envoy.yaml").write_text(yaml.safe_dump(config))
    quick = ["--concurrency", "1", "--disable-hot-restart", "--log-level", "warning"]
    return [_found("envoy"), "-c", str(folder / "envoy.yaml"), *quick]


COMMANDS: dict[str, Callable[[Path, int, Sequence[int], float], list[str]]] = {
    "nginx": nginx_command,
    "envoy": envoy_command,
}


def _found(name: str) -> str:
    beside = Path(sys.executable).with_name(name)
    return str(beside) if beside.exists() else which(name) or ""


def is_installed(name: str) -> bool:
    return bool(_found(name))


@asynccontextmanager
async def proxy(
    name: str, folder: Path, servers: Sequence[int], check_every: float = 0.05
) -> AsyncIterator[int]:
    """Run a proxy in front of the servers at these ports; yield its port.

    `check_every` is how often Envoy asks whether they are ready, in seconds; nginx never does.
    """
    port = free_port()
    command = COMMANDS[name](folder, port, servers, check_every)
    with (folder / "log").open("w") as log:
        process = await asyncio.create_subprocess_exec(*command, stderr=log, stdout=log)
        try:
            while not await _answers(port):
                assert process.returncode is None, (folder / "log").read_text()
                await asyncio.sleep(0.01)
            yield port
        finally:
            if process.returncode is None:
                process.terminate()
            await process.wait()
    assert not re.search(r"\[(emerg|alert|crit|critical)\]", (folder / "log").read_text())


async def _answers(port: int) -> bool:
    try:
        _, writer = await asyncio.open_connection("127.0.0.1", port)
    except ConnectionError:
        return False
    writer.close()
    await writer.wait_closed()
    return True
