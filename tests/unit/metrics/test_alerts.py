"""The alert rules are what Prometheus reads, and speak of metrics and labels that there are."""

from __future__ import annotations

import re

import pytest
import yaml

from trunkline.metrics.alerts import ALERTS, Alert, alert_rules
from trunkline.metrics.dashboard import families_of
from trunkline.metrics.families import Kind

RULES = yaml.safe_load(alert_rules())["groups"][0]["rules"]
OF_THE_SCRAPER = {"instance", "job"}


def test_the_file_is_the_table() -> None:
    assert [rule["alert"] for rule in RULES] == [alert.name for alert in ALERTS]
    for rule, alert in zip(RULES, ALERTS, strict=True):
        assert rule["expr"] == alert.expression
        assert rule["annotations"] == {"summary": alert.summary, "description": alert.advice}
        assert rule["labels"] == {"severity": alert.severity}
        assert re.fullmatch(r"\d+[ms]", rule["for"])


def test_a_name_is_there_once() -> None:
    assert len({alert.name for alert in ALERTS}) == len(ALERTS)


@pytest.mark.parametrize("alert", ALERTS, ids=lambda alert: alert.name)
def test_an_alert_speaks_of_metrics_and_labels_that_there_are(alert: Alert) -> None:
    families = list(families_of(alert.expression))
    assert families
    labels = OF_THE_SCRAPER.union(*(family.labels for family in families))
    assert set(re.findall(r"\$labels\.(\w+)", alert.summary)) <= labels
    for by in re.findall(r"(?:by|on|ignoring) \(([^)]*)\)", alert.expression):
        assert set(re.findall(r"\w+", by)) - {"le"} <= labels
    for chosen in re.findall(r"(\w+)=~?\"", alert.expression):
        assert chosen in labels
    for kind in re.findall(r"(?:rate|increase)\((trunkline_\w+)", alert.expression):
        assert next(families_of(kind)).kind is not Kind.GAUGE
    assert alert.severity in ("info", "warning", "critical")
    assert alert.expression.count("(") == alert.expression.count(")")
