"""What retention and backfill are at, in Prometheus' form."""

from collections.abc import Iterator

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric

from cashwrap.engine import Engine


def metrics(engine: Engine) -> Iterator[Metric]:
    """One scrape."""
    retention, backfill = engine.retention, engine.backfill
    removed = CounterMetricFamily("cashwrap_retention_removed", "Removed as too old.", labels=["what"])
    for what, count in (
        ("records", retention.retired),
        ("shoppers", retention.removed),
        ("failed", retention.discarded),
    ):
        removed.add_metric([what], count)
    yield removed
    yield GaugeMetricFamily(
        "cashwrap_log_horizon_timestamp_seconds",
        "When the newest record that retention removed was received; 0 for none.",
        value=engine.world.store.horizon().received / 1000,
    )
    yield GaugeMetricFamily(
        "cashwrap_backfill_records", "Records of the log that changed features still wait for.", value=backfill.behind()
    )
    truths = backfill.truths()
    pending = sum(truth.pending for truth in truths.values())
    yield GaugeMetricFamily("cashwrap_features_pending", "Features unknown until they are whole.", value=pending)
    since = GaugeMetricFamily(
        "cashwrap_feature_since_timestamp_seconds",
        "Since when a feature is true that looks further back than the log did when it was declared.",
        labels=["feature"],
    )
    for name, truth in truths.items():
        if not truth.pending:
            since.add_metric([name], truth.since / 1000)
    yield since
