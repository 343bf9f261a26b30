"""How soon ``cashwrap serve`` with the starter playbook takes requests, and what memory it then holds."""

import contextlib
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

CASHWRAP = Path(sys.executable).with_name("cashwrap")
ROUNDS = 5


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def start_once(playbook: Path, data: Path) -> tuple[float, float]:
    """Seconds until the first 200 of ``/readyz``, and resident MB."""
    port, began = free_port(), time.perf_counter()
    command = [CASHWRAP, "serve", "--playbook", playbook, "--data", data, "--port", str(port), "--no-console"]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        while not ready(port):
            if process.poll() is not None:
                raise SystemExit("cashwrap serve ended early")
        took = time.perf_counter() - began
        pages = int(Path(f"/proc/{process.pid}/statm").read_text().split()[1])
        return took, pages * 4096 / 1e6
    finally:
        process.terminate()
        process.wait(20)


def ready(port: int) -> bool:
    with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1) as connection:
        connection.sendall(b"GET /readyz HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n")
        return b" 200 " in connection.recv(64)
    time.sleep(0.005)
    return False


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        playbook, data = Path(folder, "playbook"), Path(folder, "data")
        subprocess.run([CASHWRAP, "init", playbook], check=True, capture_output=True)
        times, sizes = zip(*(start_once(playbook, data) for _ in range(ROUNDS)), strict=True)
    print(
        f"ready in {statistics.median(times):.2f} s (limit 1), {statistics.median(sizes):.0f} MB resident (limit 150)"
    )


if __name__ == "__main__":
    main()
