"""``make bench``: all of them, one after the other, each in a process of its own."""

import subprocess
import sys

PARTS = [
    *("bench.fold", "bench.normalise", "bench.store", "bench.decide", "bench.assign", "bench.http", "bench.deadline"),
    *("bench.start", "bench.imports", "bench.ledger", "bench.workers", "bench.predict"),
    "bench.console",
]

if __name__ == "__main__":
    for part in PARTS:
        print(f"\n== {part}", flush=True)
        subprocess.run([sys.executable, "-m", part], check=True)
