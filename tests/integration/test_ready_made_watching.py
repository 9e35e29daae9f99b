"""The dashboard and the alarms in deploy/ ask for figures that /metrics has."""

import json
import re
import shutil
import subprocess
from itertools import combinations
from pathlib import Path
from typing import Any

import pytest
import yaml
from django.conf import settings

from config.metrics import DatabaseCollector
from tests.unit.test_docs import target_exists

ROOT = settings.BASE_DIR
DASHBOARD = ROOT / "deploy/grafana/orders.json"
ALERTS = ROOT / "deploy/prometheus/alerts.yaml"
MONITORING = ROOT / "docs/monitoring.md"

# Labels that Prometheus adds.
COMMON_LABELS = {"job", "instance"}
# A metric, and the matchers of its labels.
SELECTOR = re.compile(r"\b(orders_\w+|up)\b(?:\{([^}]*)\})?")
MATCHER = re.compile(r'(\w+)\s*(?:=~|!~|!=|=)\s*"')
GROUPING = re.compile(r"\b(?:by|without|on|ignoring) \(([^)]*)\)")
LEGEND = re.compile(r"\{\{\s*(?:\$labels\.)?(\w+)\s*\}\}")


@pytest.fixture
def metrics(db: None) -> dict[str, set[str]]:
    """Return the labels of each sample that /metrics can have, by its name."""
    labels: dict[str, set[str]] = {"up": set()}
    for family in DatabaseCollector().collect():
        suffixes = {"counter": ("_total",), "summary": ("_count", "_sum")}.get(family.type, ("",))
        for suffix in suffixes:
            # Families of an empty shop have no samples yet.
            labels[family.name + suffix] = set(vars(family)["_labelnames"])
    return labels


def check_query(query: str, texts: list[str], metrics: dict[str, set[str]]) -> None:
    """Check the metrics and labels of ``query``, and the labels in ``texts``, such as legends."""
    selectors = SELECTOR.findall(query)
    assert selectors, query
    for name, matchers in selectors:
        assert name in metrics, query
        assert set(MATCHER.findall(matchers)) <= metrics[name] | COMMON_LABELS, query
    labels = set.union(*(metrics[name] for name, _ in selectors)) | COMMON_LABELS
    grouping = {name.strip() for names in GROUPING.findall(query) for name in names.split(",")}
    assert grouping <= labels, query
    is_one_number = re.match(r"(sum|max)\(", query) is not None
    shown = grouping if grouping else set() if is_one_number else labels
    assert {name for text in texts for name in LEGEND.findall(text)} <= shown, query


def test_the_dashboard_shows_what_metrics_have(metrics: dict[str, set[str]]) -> None:
    dashboard = json.loads(DASHBOARD.read_text())
    panels: list[dict[str, Any]] = dashboard["panels"]
    ids = [panel["id"] for panel in panels]
    assert sorted(set(ids)) == sorted(ids)
    assert len({panel["title"] for panel in panels}) == len(panels)
    for panel in panels:
        place = panel["gridPos"]
        assert place["x"] + place["w"] <= 24
        if panel["type"] == "row":
            assert panel["title"].endswith("?")
            continue
        assert panel["description"].endswith(".")
        references = [target["refId"] for target in panel["targets"]]
        assert references
        assert sorted(set(references)) == references
        for target in panel["targets"]:
            assert target["datasource"] == panel["datasource"]
            check_query(target["expr"], [target["legendFormat"]], metrics)
    for one, other in combinations((panel["gridPos"] for panel in panels), 2):
        assert (
            one["x"] + one["w"] <= other["x"]
            or other["x"] + other["w"] <= one["x"]
            or one["y"] + one["h"] <= other["y"]
            or other["y"] + other["h"] <= one["y"]
        ), (one, other)
    # Every figure is on the dashboard, but for the ends of a position and what repeats another.
    text = DASHBOARD.read_text()
    left_out = {name for name in metrics.keys() - {"up"} if not re.search(rf"\b{name}\b", text)}
    assert left_out == {
        "orders_policies_head",
        "orders_policies_last_batch_seconds",
        "orders_policies_position",
        "orders_projection_head",
        "orders_projection_last_batch_seconds",
        "orders_projection_slice_position",
        "orders_relay_batch_seconds_count",
        "orders_relay_batch_seconds_sum",
        "orders_relay_head",
        "orders_relay_last_batch_seconds",
        "orders_relay_position",
        "orders_tax_base_amount",
        "orders_webhook_batch_seconds_count",
        "orders_webhook_batch_seconds_sum",
        "orders_webhook_head",
        "orders_webhook_last_batch_seconds",
        "orders_webhook_position",
    }
    questions = [panel["title"] for panel in panels if panel["type"] == "row"]
    listed = re.findall(r"^\| ([^|]+\?) \|", MONITORING.read_text(), re.MULTILINE)
    assert listed == questions


def test_the_alarms_are_those_of_the_docs(metrics: dict[str, set[str]]) -> None:
    [group] = yaml.safe_load(ALERTS.read_text())["groups"]
    rules = group["rules"]
    assert len({rule["alert"] for rule in rules}) == len(rules)
    for rule in rules:
        annotations = rule["annotations"]
        assert rule["labels"]["severity"] in ("warning", "critical")
        check_query(rule["expr"], [annotations["summary"]], metrics)
        page, anchor = annotations["runbook"].split("#")
        assert target_exists(ROOT / "README.md", page, f"#{anchor}"), rule

    table = MONITORING.read_text().partition("## Alarms worth having")[2].partition("\n## ")[0]
    rows = re.findall(r"^\| (`[^|]+?) \|", table, re.MULTILINE)
    documented = [
        (condition, duration)
        for row in rows
        for condition, duration in re.findall(r"`([^`]+)`(?: for (an hour|two minutes))?", row)
    ]
    words = {"1h": "an hour", "2m": "two minutes", "": ""}
    assert documented == [(rule["expr"], words[rule.get("for", "")]) for rule in rules]


def test_prometheus_takes_the_alarms_and_the_queries_of_the_dashboard(tmp_path: Path) -> None:
    promtool = shutil.which("promtool")
    if promtool is None:
        pytest.skip("promtool is missing: apt install prometheus")
    panels = json.loads(DASHBOARD.read_text())["panels"]
    queries = [target["expr"] for panel in panels for target in panel.get("targets", ())]
    # promtool reads queries as the expressions of rules.
    rules = [{"record": f"query_{number}", "expr": query} for number, query in enumerate(queries)]
    dashboard = tmp_path / "dashboard.yaml"
    dashboard.write_text(yaml.safe_dump({"groups": [{"name": "dashboard", "rules": rules}]}))

    checked = subprocess.run(
        [promtool, "check", "rules", ALERTS, dashboard], capture_output=True, text=True, check=False
    )

    assert checked.returncode == 0, checked.stdout + checked.stderr
    assert f"{len(queries)} rules found" in checked.stdout
