"""The dashboard is what Grafana imports, and every metric in it is one of ours."""

from __future__ import annotations

import itertools
import json
import re

import pytest

from trunkline.metrics.dashboard import ROWS, Panel, dashboard, families_of
from trunkline.metrics.families import FAMILIES, Kind

PANELS = [panel for _, panels in ROWS for panel in panels]
BOARD = json.loads(dashboard())
GRAPHS = [panel for panel in BOARD["panels"] if panel["type"] == "timeseries"]
EXPRESSIONS = [target["expr"] for graph in GRAPHS for target in graph["targets"]]


def test_there_is_a_graph_for_each_panel_with_what_the_table_says_of_it() -> None:
    assert [graph["title"] for graph in GRAPHS] == [panel.title for panel in PANELS]
    first = GRAPHS[0]
    assert first["description"] == "Queries that servers have answered."
    assert first["targets"][0]["expr"] == (
        'sum by (database) (rate(trunkline_queries_total{instance=~"$instance",database=~"$database"}'
        "[$__rate_interval]))"
    )


@pytest.mark.parametrize("panel", PANELS, ids=lambda panel: panel.title)
def test_every_metric_of_a_panel_has_the_labels_that_it_is_added_up_by(panel: Panel) -> None:
    for expression, legend in panel.queries:
        families = list(families_of(expression))
        assert families
        for labels in re.findall(r"sum by \(([^)]*)\)|max by \(([^)]*)\)", expression):
            named = set(re.findall(r"\w+", "".join(labels))) - {"le", "instance"}
            assert named <= set(families[0].labels)
        shown = set(re.findall(r"\{\{(\w+)\}\}", legend)) - {"instance"}
        assert shown <= set(families[0].labels)


def test_a_metric_that_is_none_is_found() -> None:
    with pytest.raises(KeyError):
        list(families_of("rate(trunkline_querys_total[5m])"))


def test_only_histograms_have_quantiles_and_only_counters_have_rates() -> None:
    for expression in EXPRESSIONS:
        (family, *_) = families_of(expression)
        assert ("histogram_quantile" in expression) is (family.kind is Kind.HISTOGRAM)
        if "rate(trunkline" in expression:
            assert family.kind is not Kind.GAUGE


def test_expressions_are_closed_and_have_all_their_selectors() -> None:
    for expression in EXPRESSIONS:
        assert expression.count("(") == expression.count(")")
        assert "{}" not in expression


def test_every_counter_and_histogram_of_pools_is_shown() -> None:
    shown = {family.name for expression in EXPRESSIONS for family in families_of(expression)}
    missing = {f.name for f in FAMILIES if f.kind is not Kind.GAUGE and "user" in f.labels} - shown
    assert missing == {"trunkline_binds", "trunkline_client_parses", "trunkline_server_assignments"}


def test_no_two_panels_lie_over_each_other() -> None:
    assert len({panel["id"] for panel in BOARD["panels"]}) == len(BOARD["panels"])
    for one, other in itertools.combinations([panel["gridPos"] for panel in BOARD["panels"]], 2):
        beside = one["x"] + one["w"] <= other["x"] or other["x"] + other["w"] <= one["x"]
        above = one["y"] + one["h"] <= other["y"] or other["y"] + other["h"] <= one["y"]
        assert beside or above
