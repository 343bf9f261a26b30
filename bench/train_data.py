"""What learning starts from, at scale: ``python -m bench.train_data [INTERACTIONS [EVENTS]]``. Prints, asserts nothing.

Ten million interactions of a made-up shop with 100,000 products out of the fact table, and a log rebuilt into examples
of ``purchase_propensity``; each in a process of its own, whose largest memory is told. DuckDB makes the facts once:
they stay in a temporary folder for the next run.
"""

import subprocess
import sys
import tempfile
import time
from pathlib import Path
from string import Template

import duckdb

from bench.facts import peak
from bench.write_facts import BEGIN, TENANT, WEEK, fill, shoppers
from cashwrap import codec
from cashwrap.declarations import PREDICTIONS
from cashwrap.learning import leaks
from cashwrap.learning.data import Task
from cashwrap.learning.examples import of_log
from cashwrap.learning.interactions import of_facts, split_by_time
from cashwrap.library import open_world
from cashwrap.model import Event, Product, Tenant
from cashwrap.playbook import load_playbook
from cashwrap.ports import Changes, Record, ShopperKey
from cashwrap.world import World

INTERACTIONS = 10_000_000
EVENTS = 200_000
PRODUCTS = 100_000
DAYS = 42
DAY = 86_400_000
START = 20_000 * DAY
BUSY = 100_000
"""Events of one shopper who never sleeps."""
STARTER = Path(__file__).parents[1] / "playbooks" / "starter"
ROWS = """
WITH visits AS (
  SELECT visit, (hash(visit) % ($visits // 3))::BIGINT AS shopper, $start + (hash(visit, 1) % $span)::BIGINT AS start,
    1 + (-ln(1 - (hash(visit, 2) % 9999) / 9999.0) * 6)::BIGINT AS length
  FROM range($visits) AS made(visit)
), steps AS (
  SELECT visit, shopper, start, unnest(range(least(length, 60))) AS number FROM visits
), done AS (
  SELECT *, start + number * 21000 + (hash(visit, number) % 15000)::BIGINT AS moment,
    (hash(visit, number, 3) % 1000)::BIGINT AS dice, (hash(visit, number, 4) % 100000) / 100000.0 AS chance
  FROM steps
)
SELECT 'acme' AS store, 'live' AS environment,
  unhex(printf('%016x', hash(shopper)) || printf('%016x', hash(shopper, 7))) AS analytic_id,
  make_timestamptz(start * 1000) AS session_start, make_timestamptz(moment * 1000) AS time,
  make_timestamptz((moment + 400) * 1000) AS received,
  CASE WHEN dice < 850 THEN 'Product Viewed' WHEN dice < 950 THEN 'Product Added' WHEN dice < 960
    THEN 'Product Added to Wishlist' ELSE 'Order Completed' END AS event,
  list_transform(range(CASE WHEN dice < 960 THEN 1 ELSE 3 END),
    lambda place: 'sku-' || exp((chance + place * 0.37) % 1.0 * ln($products))::BIGINT) AS product_ids,
  7::SMALLINT AS mask, CASE WHEN shopper % 50 = 0 THEN 1 ELSE 0 END::SMALLINT AS flags, TRUE AS trusted,
  CASE WHEN dice >= 960 THEN unhex(printf('%016x', hash(visit, number, 8))) END AS "order",
  CASE WHEN shopper % 20 = 1 THEN 'shop' END AS held,
  make_timestamp(moment * 1000)::DATE AS day, printf('%02d', (hash(shopper) >> 56) % 16) AS bucket
FROM done
"""


def make(folder: Path, count: int) -> None:
    """That many interactions, more or less, as the fact table lays them out."""
    connection = duckdb.connect(config={"threads": 2, "memory_limit": "4GB", "preserve_insertion_order": False})
    named = {"visits": count // 7, "start": START, "span": DAYS * DAY, "products": PRODUCTS}
    made = connection.sql(Template(ROWS).substitute(named))
    made.write_parquet(str(folder), compression="zstd", partition_by=["day", "bucket"], overwrite=True)
    (folder / "complete").touch()


def measure_facts(folder: Path, task: Task) -> None:
    """The interactions of a task, with a catalogue of a million products, timed from opening the folder on."""
    catalogue = {f"sku-{each}": Product(f"sku-{each}", sensitive=each % 100 == 7) for each in range(1_000_000)}
    before, begun, used = peak(), time.perf_counter(), time.process_time()
    tenant = Tenant("acme", "live")
    data = of_facts(folder, tenant, task, catalogue=catalogue, now=START + (DAYS + 1) * DAY)
    data = split_by_time(data)
    wall, busy = time.perf_counter() - begun, time.process_time() - used
    told = f"{len(data.item):,} rows, {data.sessions:,} sessions, {len(data.items):,} products, "
    told += f"{len(data.subjects):,} shoppers, holdout {data.explored.mean():.1%}"
    print(f"{task:10} {wall:5.1f} s, {busy:5.1f} s of processor, {peak():,} MB (catalogue {before:,}): {told}")


def busy_shopper(world: World, who: ShopperKey) -> None:
    """One shopper with very many events, in visits of ten."""
    vault, changes = world.vault, Changes()
    for first in range(0, BUSY, 100):
        times = [BEGIN + WEEK + (first + each) // 10 * 3_600_000 + each % 10 * 60_000 for each in range(100)]
        events = [
            Event(f"b{time}", "Product Viewed", time, time, 7, "key", "anon-busy", properties={"product_id": "p1"})
            for time in times
        ]
        sealed = vault.seal(who.shopper, codec.encode(events))
        changes.records.append(Record(TENANT, who.shopper, times[-1], "events", sealed, 7))
    vault.persist()
    world.store.commit(changes)


def measure_log(data: Path) -> None:
    """Examples of a prediction, rebuilt from the log."""
    playbook, decl = load_playbook(STARTER), PREDICTIONS["purchase_propensity"]
    with open_world(data, serving=False) as world:
        count = sum(1 for _ in world.store.log())
        begun, used = time.perf_counter(), time.process_time()
        table = of_log(world, playbook, decl, TENANT, now=BEGIN + 520 * WEEK)
        leaks.check(table)
        wall, busy = time.perf_counter() - begun, time.process_time() - used
    told = f"{len(table.label):,} examples of {len(table.subjects):,} shoppers, {len(table.columns)} columns"
    print(f"log        {wall:5.1f} s, {busy:5.1f} s of processor, {peak():,} MB: {count:,} records, {told}")


def main() -> None:
    """Make what is missing, and measure each in a process of its own."""
    if sys.argv[1:2] == ["--facts"]:
        measure_facts(Path(sys.argv[2]), "basket" if sys.argv[3] == "basket" else "next_item")
        return
    if sys.argv[1:2] == ["--log"]:
        measure_log(Path(sys.argv[2]))
        return
    count, events = (int(sys.argv[at]) if len(sys.argv) > at else each for at, each in ((1, INTERACTIONS), (2, EVENTS)))
    folder = Path(tempfile.gettempdir()) / f"cashwrap-bench-interactions-{count}"
    if not (folder / "complete").exists():
        make(folder, count)
    again = [sys.executable, "-m", "bench.train_data"]
    for task in ("next_item", "basket"):
        subprocess.run([*again, "--facts", str(folder), task], check=True)
    with tempfile.TemporaryDirectory() as name:
        data = Path(name) / "data"
        with open_world(data, make=True) as world:
            people = shoppers(world)
            fill(world, people, 0, events, BEGIN, WEEK)
            busy_shopper(world, people[0])
        subprocess.run([*again, "--log", str(data)], check=True)


if __name__ == "__main__":
    main()
