"""A whole report from ten million facts on two cores: ``python -m bench.facts [FACTS]``.

DuckDB makes the facts, shop-like, once: they stay in a temporary folder for the next run. Then the report is worked out
as ``cashwrap report`` does it, in a fresh process, whose largest memory is told. Budget: 10 s, and 1.5 GB.
"""

import subprocess
import sys
import tempfile
import time
from pathlib import Path
from string import Template

import duckdb

from cashwrap.analysis.facts import FactTable
from cashwrap.analysis.question import Metric, Part, Question
from cashwrap.analysis.report import report
from cashwrap.declarations import DesignDecl, MetricDecl
from cashwrap.metrics import BUILT_IN
from cashwrap.model import Tenant

FACTS = 10_000_000
DAYS = 42
DAY = 86_400_000
START = 20_000 * DAY
SECONDS, MEGABYTES = 10, 1_500
A_VISIT = 7.2
"""Facts that a visit comes to, on average."""
EVENTS = (
    "['Page Viewed', 'Product Viewed', 'Product Viewed', 'Product Viewed', 'Product Added', 'Cart Viewed', "
    "'Experience Viewed', 'Checkout Started', 'Checkout Step Viewed', 'Checkout Step Viewed', 'Payment Info Entered', "
    "'Order Completed', 'Order Completed']"
)
"""What a visit may do, in order; most end early. The browser and the shop's backend both report an order."""
VISITS = """
CREATE OR REPLACE TEMP TABLE visits AS
SELECT
  visit, (hash(visit) % CAST($visits * 0.6 AS BIGINT))::BIGINT AS shopper,
  $start + (hash(visit, 1) % $span)::BIGINT AS start,
  (hash(visit, 2) % 10000) / 10000.0 AS depth, (hash(visit, 3) % 10000) / 10000.0 AS spent
FROM range($visits) AS made(visit)
"""
ROWS = """
WITH seen AS (
  SELECT *, list_slice($events, 1, CASE WHEN depth < 0.55 THEN 6 WHEN depth < 0.75 THEN 7 WHEN depth < 0.87 THEN 8
    WHEN depth < 0.95 THEN 10 WHEN depth < 0.97 THEN 11 ELSE 13 END) AS events
  FROM visits
), rows AS (
  SELECT visit, shopper, start, spent, unnest(events) AS event, unnest(range(len(events))) AS number FROM seen
), timed AS (
  SELECT *, start + number * 21000 + (hash(visit, number) % 15000)::BIGINT AS moment,
    unhex(printf('%016x', hash(shopper)) || printf('%016x', hash(shopper, 7))) AS id,
    event = 'Experience Viewed' AS exposure, event = 'Order Completed' AS ordered,
    (-ln(1 - spent * 0.999) * 4000)::BIGINT + 500 AS money
  FROM rows
)
SELECT
  'acme' AS store, 'live' AS environment, id AS analytic_id, make_timestamptz(start * 1000) AS session_start,
  make_timestamptz(moment * 1000) AS time, event, ['sku-' || (visit % 900)] AS product_ids, [1::BIGINT] AS quantities,
  [money] AS prices, CASE WHEN event IN ('Cart Viewed', 'Checkout Started', 'Order Completed') THEN money END AS amount,
  'EUR' AS currency, 7::SMALLINT AS mask, ['mobile', 'desktop', 'tablet'][1 + shopper % 3] AS device,
  ['DE', 'FR', 'AT', 'PL'][1 + shopper % 4] AS country, CASE WHEN exposure THEN 'banner' END AS experience,
  CASE WHEN exposure THEN ['control', 'b'][1 + (hash(shopper, 9) % 2)::BIGINT] END AS variation,
  CASE WHEN exposure THEN 'bench' END AS experiment,
  CASE WHEN exposure THEN ['control', 'shown'][1 + (hash(shopper, 9) % 2)::BIGINT] END AS outcome,
  NULL::VARCHAR AS held, CASE WHEN exposure THEN 5000::SMALLINT END AS propensity,
  CASE WHEN exposure THEN printf('%016x', hash(visit, 5)) END AS decision,
  CASE WHEN exposure THEN 'profile' END AS level,
  CASE WHEN exposure THEN 'top' END AS placement, CASE WHEN exposure THEN 'release-' || (visit % 2) END AS playbook,
  CASE WHEN exposure THEN list_filter(['vip', 'new', 'returning'], lambda name: hash(shopper, name) % 3 = 0)
    ELSE []::VARCHAR[] END AS segments,
  CASE WHEN exposure THEN (hash(visit, 6) % 90)::BIGINT END AS latency,
  CASE WHEN shopper % 50 = 0 THEN 1 ELSE 0 END::SMALLINT AS flags, ordered AND number = 12 AS trusted,
  make_timestamptz((moment + 400) * 1000) AS received, ['Firefox', 'Chrome', 'Safari'][1 + shopper % 3] AS browser,
  CASE WHEN ordered THEN unhex(printf('%016x', hash(visit, 8))) END AS "order", NULL::BLOB AS cart,
  CASE WHEN ordered THEN money END AS subtotal, NULL::BIGINT AS discount,
  CASE WHEN ordered THEN 490 END::BIGINT AS shipping,
  NULL::BIGINT AS tax, CASE WHEN ordered THEN money * 6 // 10 END AS cost, 1::BIGINT AS quantity,
  CASE WHEN event = 'Checkout Step Viewed' THEN ['address', 'payment'][1 + number % 2] END AS step,
  CASE WHEN ordered THEN 'card' END AS method, NULL::VARCHAR AS offer, MAP {}::MAP(VARCHAR, DOUBLE) AS measures,
  make_timestamp(moment * 1000)::DATE AS day, printf('%02d', ('0x' || hex(id)[2])::BIGINT) AS bucket
FROM timed
WHERE moment < $end
"""


def make(folder: Path, count: int) -> None:
    """That many facts, more or less, as the fact table lays them out."""
    connection = duckdb.connect(config={"threads": 2, "memory_limit": "4GB", "preserve_insertion_order": False})
    span = DAYS * DAY
    named = {"visits": int(count / A_VISIT), "start": START, "span": span, "end": START + span, "events": EVENTS}
    connection.execute(Template(VISITS).substitute(named))
    made = connection.sql(Template(ROWS).substitute(named))
    made.write_parquet(str(folder), compression="zstd", partition_by=["day", "bucket"], overwrite=True)
    (folder / "complete").touch()


def question() -> Question:
    """What an experiment asks by default, with every metric that is built in."""
    design = DesignDecl(days=28, looks=4, window=7 * DAY, maturity=7 * DAY)
    metrics = tuple(_metric(each, design) for each in BUILT_IN.values())
    arms = {"control": 5000, "b": 5000}
    segments = ("vip", "new", "returning")
    tenant = Tenant("acme", "live")
    return Question("banner", tenant, "bench", arms, "shopper", metrics, design, "EUR", segments=segments)


def _metric(declared: MetricDecl, design: DesignDecl) -> Metric:
    funnel = declared.kind == "funnel"
    once = declared.kind == "proportion"
    return Metric(
        name=declared.name,
        label=declared.description,
        kind=declared.kind,
        role="primary" if declared.name == "profit" else "secondary",
        worth="money" if declared.of is not None else "count",
        better=declared.better,
        window=design.window,
        numerator=None if funnel else Part(declared.events, declared.of, declared.where, once, declared.unless),
        per=Part(declared.per, declared.per_of, declared.per_where) if declared.per else None,
        steps=declared.events if funnel else (),
        at=declared.at / 10_000 if declared.at is not None else None,
        caps=(0.0, 0.999) if declared.name == "profit" else None,
    )


def measure(folder: Path) -> None:
    """One report, timed from opening the folder on."""
    begun, used = time.perf_counter(), time.process_time()
    with FactTable(folder) as table:
        found = report(table, question(), START + DAYS * DAY)
    wall, busy = time.perf_counter() - begun, time.process_time() - used
    told = f"{found.verdict.code}, {sum(arm.units for arm in found.arms):,} units, {len(found.sql)} statements"
    print(f"{wall:.1f} s (budget {SECONDS}), {busy:.1f} s of processor, {peak():,} MB (budget {MEGABYTES:,}): {told}")


def peak() -> int:
    """The most memory this program ever had, in MB: ``getrusage`` would tell of whoever started it as well."""
    status = Path("/proc/self/status").read_text()
    return next(int(line.split()[1]) for line in status.splitlines() if line.startswith("VmHWM")) // 1024


def main() -> None:
    """Make the facts where they are missing, and measure in a process of its own."""
    if sys.argv[1:2] == ["--measure"]:
        measure(Path(sys.argv[2]))
        return
    count = int(sys.argv[1]) if len(sys.argv) > 1 else FACTS
    folder = Path(tempfile.gettempdir()) / f"cashwrap-bench-facts-{count}"
    if not (folder / "complete").exists():
        begun = time.perf_counter()
        make(folder, count)
        print(f"made in {time.perf_counter() - begun:.0f} s")
    files = list(folder.glob("day=*/bucket=*/*.parquet"))
    rows = duckdb.read_parquet(f"{folder}/*/*/*.parquet").shape[0]
    print(f"{rows:,} facts in {len(files):,} files")
    subprocess.run([sys.executable, "-m", "bench.facts", "--measure", str(folder)], check=True)


if __name__ == "__main__":
    main()
