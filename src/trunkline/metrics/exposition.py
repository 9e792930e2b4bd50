"""The door to prometheus_client: the table of metrics as text, in the format that a scraper asks for.

The text is made in small parts, so that the event loop can serve clients between them: encoding is slow. To import this
costs about 25 ms and 2 MB, so only a process that serves metrics does.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from itertools import islice

from prometheus_client import PROCESS_COLLECTOR
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.exposition import choose_encoder, gzip_accepted
from prometheus_client.registry import Collector

from trunkline.metrics.families import FAMILIES, Family, Kind
from trunkline.metrics.pgbouncer_names import PGBOUNCER_FAMILIES
from trunkline.metrics.readings import Reading, Source, Times

__all__ = ["PART", "exposition", "gzip_accepted"]

PART = 100
"""Series encoded at a time: about a millisecond."""

LINES = 14
"""Of each series of a histogram."""

_MAKE: dict[Kind, Callable[..., CounterMetricFamily | GaugeMetricFamily | HistogramMetricFamily]] = {
    Kind.COUNTER: CounterMetricFamily,
    Kind.GAUGE: GaugeMetricFamily,
    Kind.HISTOGRAM: HistogramMetricFamily,
}
_END = b"# EOF\n"  # of OpenMetrics, once and last


def exposition(source: Source, accept: str) -> tuple[str, Iterator[bytes]]:
    """The content type for this Accept header, and the text in parts, each read when it is asked for."""
    try:
        encode, content_type = choose_encoder(accept)
    except TypeError:  # it compares what is no version with one
        encode, content_type = choose_encoder("")
    end = _END if content_type.startswith("application/openmetrics-text") else b""
    return content_type, _encoded(source, encode, end)


def _encoded(source: Source, encode: Callable[[Collector], bytes], end: bytes) -> Iterator[bytes]:
    yield encode(PROCESS_COLLECTOR).removesuffix(end)
    for family in _families(source):
        readings = iter(family.read(source))
        headed = False
        part = PART if family.kind is not Kind.HISTOGRAM else PART // LINES
        while batch := list(islice(readings, part)):
            text = encode(_One(_metric(family, batch))).removesuffix(end)
            yield _without_head(text) if headed else text
            headed = True
    yield end


def _families(source: Source) -> tuple[Family, ...]:
    return FAMILIES + PGBOUNCER_FAMILIES if source.instance.config.settings.metrics_pgbouncer_names else FAMILIES


class _One:
    """What an encoder takes: something that has metrics; here it has one."""

    def __init__(self, metric: Metric) -> None:
        self._metric = metric

    def collect(self) -> Iterable[Metric]:
        return (self._metric,)


def _metric(family: Family, readings: Iterable[Reading]) -> Metric:
    metric = _MAKE[family.kind](family.name, family.help, labels=family.labels, unit=family.unit)
    for labels, value in readings:
        shown = [_utf8(label) for label in labels]
        if isinstance(metric, HistogramMetricFamily):
            assert isinstance(value, Times)
            metric.add_metric(shown, list(value.below), value.sum_s)
        else:
            assert not isinstance(value, Times)
            metric.add_metric(shown, value)
    return metric


def _utf8(label: str) -> str:
    """Names are bytes that a client chose; those that are no UTF-8 are shown as escapes."""
    if label.isprintable():
        return label
    return label.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")


def _without_head(text: bytes) -> bytes:
    """Only the series: HELP, TYPE and UNIT have been told."""
    while text.startswith(b"# "):
        text = text.partition(b"\n")[2]
    return text
