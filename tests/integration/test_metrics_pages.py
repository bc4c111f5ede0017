"""The page about metrics, the dashboard and the alerts name what a running server exposes."""

from __future__ import annotations

import json
import re
from collections.abc import AsyncIterator, Iterator
from itertools import combinations
from pathlib import Path
from typing import Any

import aiohttp
import promql_parser
import pytest
import yaml
from prometheus_client.parser import text_string_to_metric_families

from fakes import ScriptedBackend
from qwen3_tts_live.session import LiveSynthesizer
from qwen3_tts_live.synthesizer import EngineMetrics
from serving import serving

ROOT = Path(__file__).parents[2]
DASHBOARD: dict[str, Any] = json.loads((ROOT / "deploy/grafana-dashboard.json").read_text())
ALERTS: dict[str, Any] = yaml.safe_load((ROOT / "deploy/prometheus-alerts.yml").read_text())


@pytest.fixture
async def exposed() -> AsyncIterator[dict[str, set[str]]]:
    """Yield the labels of each series, by its name, of a server with an engine."""
    engine = EngineMetrics(ended={"eos": 1})
    async with (
        LiveSynthesizer(ScriptedBackend(), engine=lambda: engine) as synthesizer,
        serving(synthesizer) as address,
        aiohttp.ClientSession(address.replace("ws:", "http:")) as client,
    ):
        async with client.ws_connect("/v1/speak"), client.get("/nowhere"):
            pass
        async with client.get("/metrics") as response:
            text = await response.text()
        found: dict[str, set[str]] = {}
        for family in text_string_to_metric_families(text):
            for sample in family.samples:
                found.setdefault(sample.name, set()).update(sample.labels)
        yield {name: labels for name, labels in found.items() if not name.endswith("_created")}


def listed() -> dict[str, tuple[set[str], str]]:
    """Return the labels and the kind of each metric on the page."""
    page = (ROOT / "docs/metrics.md").read_text()
    row = r"^\| `((?:tts|process)_[a-z_*]+)(?:\{(.*?)\})?` \| ?(\w*) \|"
    return {
        name: (set(labels.split(", ")) if labels else set(), kind)
        for name, labels, kind in re.findall(row, page, re.MULTILINE)
    }


async def test_the_page_lists_what_is_exposed_with_its_labels(
    exposed: dict[str, set[str]],
) -> None:
    found = {}
    for name, labels in exposed.items():
        if name.startswith("process_"):
            found["process_*"] = set[str]()
        elif not re.search(r"_(sum|count)$", name):
            found[name.removesuffix("_bucket")] = labels - {"le"}
    assert found == {name: labels for name, (labels, _) in listed().items()}


async def test_the_page_knows_counters_and_histograms(exposed: dict[str, set[str]]) -> None:
    for name, (_, kind) in listed().items():
        if kind == "histogram":
            assert f"{name}_bucket" in exposed, name
        else:
            assert (kind == "counter") is name.endswith("_total"), name


# ------------------------------------------------------------------ what is drawn, and what rings


def expressions() -> Iterator[tuple[str, str]]:
    for panel in DASHBOARD["panels"]:
        for target in panel.get("targets", []):
            yield panel["title"], target["expr"].replace("$__rate_interval", "1m")
    for group in ALERTS["groups"]:
        for rule in group["rules"]:
            yield rule["alert"], rule["expr"]


def selectors(expression: str) -> list[promql_parser.VectorSelector]:
    found: list[promql_parser.VectorSelector] = []

    def note(part: promql_parser.Expr) -> bool:
        if isinstance(part, promql_parser.VectorSelector):
            found.append(part)
        return True

    promql_parser.walk(promql_parser.parse(expression), note)
    return found


async def test_every_expression_is_promql_about_what_is_exposed(
    exposed: dict[str, set[str]],
) -> None:
    for title, expression in expressions():
        found = selectors(expression)
        assert found, title
        for selector in found:
            assert selector.name in exposed, title
            asked = {matcher.name for matcher in selector.matchers.matchers} - {"instance"}
            assert asked <= exposed[selector.name], title


def test_the_dashboards_panels_have_ids_of_their_own_and_do_not_overlap() -> None:
    panels = DASHBOARD["panels"]
    assert len({panel["id"] for panel in panels}) == len(panels) > 20
    places = [panel["gridPos"] for panel in panels]
    for one, other in combinations(places, 2):
        beside = one["x"] + one["w"] <= other["x"] or other["x"] + other["w"] <= one["x"]
        below = one["y"] + one["h"] <= other["y"] or other["y"] + other["h"] <= one["y"]
        assert beside or below, (one, other)
    assert all(place["x"] + place["w"] <= 24 for place in places)


def test_every_panel_asks_the_data_source_that_is_chosen() -> None:
    chosen = {variable["name"]: variable for variable in DASHBOARD["templating"]["list"]}
    assert chosen["datasource"]["type"] == "datasource"
    for panel in DASHBOARD["panels"]:
        for asked in [panel, *panel.get("targets", [])]:
            if panel["type"] != "row":
                assert asked["datasource"]["uid"] == "${datasource}"


def test_every_alert_says_how_bad_it_is_and_what_to_do() -> None:
    (group,) = ALERTS["groups"]
    names = [rule["alert"] for rule in group["rules"]]
    assert len(set(names)) == len(names) >= 6
    for rule in group["rules"]:
        assert rule["labels"]["severity"] in ("warning", "critical")
        assert rule["for"] and rule["annotations"]["summary"] and rule["annotations"]["description"]
