"""The files of `deploy/` name flags, variables, routes and metrics: all of them exist and agree."""

from __future__ import annotations

import argparse
import json
import os
import re
import shlex
import subprocess
import sys
import tomllib
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import kubernetes_validate
import pytest
import yaml

from proxies import free_port
from qwen3_tts_server.app import Server
from qwen3_tts_server.options import ServerOptions, add_arguments, from_arguments
from serving import Start

ROOT = Path(__file__).parents[2]
DEPLOY = ROOT / "deploy"
UV = Path(sys.executable).with_name("uv")
UNIT = (DEPLOY / "qwen3-tts-live@.service").read_text()
DOCKERFILE = (DEPLOY / "Dockerfile").read_text()
NGINX = (DEPLOY / "nginx.conf").read_text()
OBJECTS: list[dict[str, Any]] = list(yaml.safe_load_all((DEPLOY / "kubernetes.yaml").read_text()))
ENVOY: dict[str, Any] = yaml.safe_load((DEPLOY / "envoy.yaml").read_text())["static_resources"]


def options(flags: list[str], environ: Mapping[str, str] | None = None) -> ServerOptions:
    """Return what `serve` makes of them; flags that it does not know are an error."""
    parser = argparse.ArgumentParser(exit_on_error=False)
    add_arguments(parser, environ or {})
    return from_arguments(parser.parse_args(flags))


def kubernetes(kind: str, name: str = "qwen3-tts-live") -> dict[str, Any]:
    (found,) = (one for one in OBJECTS if (one["kind"], one["metadata"]["name"]) == (kind, name))
    return found


def container(name: str = "qwen3-tts-live") -> dict[str, Any]:
    (found,) = kubernetes("Deployment", name)["spec"]["template"]["spec"]["containers"]
    return dict(found)


def unit(key: str) -> list[str]:
    """Return what the unit says of it for the instance 3."""
    text = UNIT.replace("%i", "3").replace("%S", "/var/lib").replace("%C", "/var/cache")
    return re.findall(rf"^{key}=(.*)$", text, re.MULTILINE)


def instruction(name: str) -> str:
    """Return the arguments of the Dockerfile's only instruction of that name."""
    (found,) = re.findall(rf"^ *{name} (.*)$", DOCKERFILE, re.MULTILINE)
    return str(found)


@pytest.fixture(scope="module")
def default() -> ServerOptions:
    return ServerOptions()


# ------------------------------------------------------------------ flags and variables


def test_the_unit_starts_a_server_with_the_number_of_its_gpu() -> None:
    environ = dict(pair.split("=") for line in unit("Environment") for pair in line.split())
    (command,) = unit("ExecStart")
    _, verb, *flags = shlex.split(command)
    made = options(flags, environ)
    assert (verb, made.host, made.port) == ("serve", "127.0.0.1", 9003)
    assert environ["CUDA_VISIBLE_DEVICES"] == "3"
    for folder in (str(made.qwen.voices_folder), environ["HOME"]):
        assert folder.startswith(f"/var/lib/{unit('StateDirectory')[0]}")
    assert environ["XDG_CACHE_HOME"] == f"/var/cache/{unit('CacheDirectory')[0]}"


def test_the_image_and_the_pods_start_a_server_that_can_write_its_voices() -> None:
    _, verb, *flags = json.loads(instruction("ENTRYPOINT"))
    made = options([*flags, *container()["args"]])
    assert verb == "serve"
    assert str(made.qwen.voices_folder).startswith(f"{instruction('VOLUME')}/")
    mounts = [mount["mountPath"] for mount in container()["volumeMounts"]]
    assert instruction("VOLUME") in mounts
    context = kubernetes("Deployment")["spec"]["template"]["spec"]["securityContext"]
    assert f"--uid {context['runAsUser']}" in DOCKERFILE
    assert instruction("USER") == str(context["runAsUser"])
    (port,) = container()["ports"]
    assert str(port["containerPort"]) == instruction("EXPOSE") == str(made.port)


def test_every_variable_that_is_told_of_is_one_that_the_server_reads() -> None:
    key = "k" * 32
    told = {"MODEL_PATH": "model", "REF_AUDIO_PATH": "a.wav", "API_KEYS": key}
    made = options([], told)
    assert (made.model_path, made.qwen.ref_audio, made.api_keys) == ("model", "a.wav", (key,))
    assert [one["name"] for one in container()["env"]] == ["MODEL_PATH"]
    assert "--from-literal=API_KEYS=" in (DEPLOY / "kubernetes.yaml").read_text()


# ------------------------------------------------------------------ routes


def test_probes_and_proxies_ask_for_routes_that_exist(default: ServerOptions) -> None:
    probes = [container()[f"{kind}Probe"]["httpGet"]["path"] for kind in ("liveness", "readiness")]
    (cluster,) = ENVOY["clusters"]
    probes += [check["http_health_check"]["path"] for check in cluster["health_checks"]]
    located = re.findall(r"^ *location (?:= )?(\S+) ", NGINX, re.MULTILINE)
    (listener,) = ENVOY["listeners"]
    (filters,) = listener["filter_chains"][0]["filters"]
    (host,) = filters["typed_config"]["route_config"]["virtual_hosts"]
    matches = [route["match"].get("path", "/") for route in host["routes"]]
    known = {resource.canonical for resource in Server(default).app.router.resources()}
    assert probes == ["/health", "/ready", "/ready"]
    assert {"/tts/interrupt", "/tts/voices", "/metrics"} <= set(located)
    assert {*probes, *located, *matches} <= known


# ------------------------------------------------------------------ times and sizes


def seconds(text: str) -> float:
    units = {"ms": 0.001, "s": 1.0, "min": 60.0}
    found = re.fullmatch(r"(\d+)(ms|s|min)", text)
    assert found, text
    return float(found[1]) * units[found[2]]


def directive(name: str) -> str:
    (found,) = re.findall(rf"^ *{name} (\S+);$", NGINX, re.MULTILINE)
    return str(found)


def test_whoever_stops_a_server_waits_longer_than_it_drains() -> None:
    (command,) = unit("ExecStart")
    (wait,) = unit("TimeoutStopSec")
    assert seconds(wait) > options(shlex.split(command)[2:]).drain_timeout + 10
    pod = kubernetes("Deployment")["spec"]["template"]["spec"]
    _, before = container()["lifecycle"]["preStop"]["exec"]["command"]
    drain = options(container()["args"]).drain_timeout
    assert pod["terminationGracePeriodSeconds"] > float(before) + drain + 10
    stop = re.search(r"--stop-timeout (\d+)", DOCKERFILE)
    assert stop and float(stop[1]) > ServerOptions().drain_timeout + 10


def test_proxies_are_more_patient_than_the_server(default: ServerOptions) -> None:
    assert seconds(directive("proxy_read_timeout")) > default.max_stream_seconds
    assert seconds(directive("proxy_send_timeout")) > default.upload_timeout
    assert seconds(directive("send_timeout")) > default.write_timeout
    (listener,) = ENVOY["listeners"]
    (filters,) = listener["filter_chains"][0]["filters"]
    assert seconds(filters["typed_config"]["stream_idle_timeout"]) > default.max_stream_seconds
    size = re.fullmatch(r"(\d+)m", directive("client_max_body_size"))
    assert size and int(size[1]) * 2**20 > default.max_upload


# ------------------------------------------------------------------ Kubernetes


def test_kubernetes_takes_every_object() -> None:
    newest = kubernetes_validate.latest_version()
    for one in OBJECTS:
        kubernetes_validate.validate(one, newest, strict=True)


def test_the_objects_are_about_each_other() -> None:
    for service in ("qwen3-tts-live", "tts"):
        labels = kubernetes("Deployment", service)["spec"]["template"]["metadata"]["labels"]
        assert kubernetes("Service", service)["spec"]["selector"].items() <= labels.items()
        assert kubernetes("Deployment", service)["spec"]["selector"]["matchLabels"] == labels
        (port,) = kubernetes("Service", service)["spec"]["ports"]
        assert port["targetPort"] in [one["name"] for one in container(service)["ports"]]
    labels = kubernetes("Deployment")["spec"]["template"]["metadata"]["labels"]
    assert kubernetes("PodDisruptionBudget")["spec"]["selector"]["matchLabels"] == labels
    (cluster,) = ENVOY["clusters"]
    (locality,) = cluster["load_assignment"]["endpoints"]
    (endpoint,) = locality["lb_endpoints"]
    address = endpoint["endpoint"]["address"]["socket_address"]
    headless = kubernetes("Service")
    assert headless["spec"]["clusterIP"] == "None"
    assert address == {
        "address": headless["metadata"]["name"],
        "port_value": container()["ports"][0]["containerPort"],
    }
    (listener,) = ENVOY["listeners"]
    outer = listener["address"]["socket_address"]["port_value"]
    assert [port["containerPort"] for port in container("tts")["ports"]] == [outer]


async def test_the_autoscaler_goes_by_a_metric_that_there_is(start: Start) -> None:
    spec = kubernetes("HorizontalPodAutoscaler")["spec"]
    assert spec["scaleTargetRef"]["name"] == kubernetes("Deployment")["metadata"]["name"]
    (metric,) = spec["metrics"]
    name = metric["pods"]["metric"]["name"]
    running = await start()
    async with running.client.get("/metrics") as response:
        assert f"{name} 0.0" in (await response.text()).splitlines()
    assert int(metric["pods"]["target"]["averageValue"]) < options([]).qwen.slots


# ------------------------------------------------------------------ the image


def test_the_image_has_what_a_server_needs_and_torch_only_where_asked_for() -> None:
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"][
        "optional-dependencies"
    ]
    asked, by_default = re.findall(r'EXTRAS="(.*?)"', DOCKERFILE)
    assert re.findall(r"--extra (\S+)", asked) == ["server", "qwen"]
    names = re.findall(r"--extra (\S+)", by_default)
    assert names == ["server", "preview"]
    assert not [need for name in names for need in extras[name] if need.startswith("torch")]


@contextmanager
def serving_from(site: Path) -> Iterator[str]:
    """Run what the image runs, with the packages in `site`; yield its port once it listens."""
    _, *arguments = json.loads(instruction("ENTRYPOINT"))
    port = str(free_port())
    environ = os.environ | {"PYTHONPATH": str(site), "HOST": "127.0.0.1", "PORT": port}
    command = [sys.executable, "-m", "qwen3_tts_live", *arguments]
    server = subprocess.Popen(command, env=environ, stderr=subprocess.PIPE, text=True)
    assert server.stderr is not None
    try:
        assert any("listening at " in line for line in server.stderr)
        yield port
        server.terminate()
        assert server.wait(timeout=20) == 0
    finally:
        server.kill()
        server.wait()
        server.stderr.close()


def test_docker_gets_what_the_wheel_is_made_of() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    packages = project["tool"]["hatch"]["build"]["targets"]["wheel"]["packages"]
    needed = {"pyproject.toml", "constraints.txt", project["project"]["readme"]}
    needed |= {*project["project"]["license-files"], *(name.split("/")[0] for name in packages)}
    first, *lines = (ROOT / ".dockerignore").read_text().split()
    assert first == "*"
    assert {line[1:] for line in lines if line.startswith("!")} == needed


def test_a_server_runs_from_the_wheel_and_the_image_can_tell_its_health(
    wheel: Path, tmp_path: Path
) -> None:
    site = tmp_path / "site"
    install = [UV, "pip", "install", "-q", "--offline", "--no-deps", "--target", site, wheel]
    subprocess.run(install, check=True)
    _, program, *check = json.loads(instruction("CMD").replace("[", '["CMD", ', 1))
    assert program == "python"
    with serving_from(site) as port:
        environ = os.environ | {"PORT": port}
        subprocess.run([sys.executable, *check], env=environ, check=True)
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/static/app.js") as response:
            assert response.read() == (site / "qwen3_tts_server/webui/app.js").read_bytes()
    done = subprocess.run([sys.executable, *check], env=environ, capture_output=True)
    assert (done.returncode, b"refused" in done.stderr) == (1, True)
