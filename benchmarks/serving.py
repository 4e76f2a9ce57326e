"""Requests per second and how long they take: `lineage serve` against `mlflow models serve` of the same model.

    python benchmarks/serving.py PROJECT [--version 1] [--seconds 10] [--rounds 3] [--clients 1 8]

`PROJECT` has run and its result is committed and pushed; nothing in it is changed. Run with the project's own Python.
Both servers run at the same time with one process each and are asked in turns, by the same clients, on this machine;
what the clients take of the processors is taken from both. MLflow refuses raw images, so it gets JSON alone.
"""

import argparse
import base64
import http.client
import json
import os
import re
import signal
import socket
import statistics
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pyarrow.parquet as pq

BATCH = 16
RAW, ONE, MANY = "one image, raw", "one image, JSON", f"{BATCH} images, JSON"


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("project", type=Path)
    parser.add_argument("--version", default="1")
    parser.add_argument("--seconds", type=float, default=10, help="of each measurement")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--clients", type=int, nargs="*", default=[1, 8], help="that ask at the same time")
    options = parser.parse_args()
    root = options.project.resolve()
    os.environ["PATH"] = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    bodies = requests_of(root)
    how = f"{options.rounds} rounds of {options.seconds:g} s"
    print(f"{os.cpu_count()} processors, Python {sys.version.split()[0]}, {how}")
    started = [start_lineage(root, options.version), start_mlflow(root, options.version)]
    try:
        servers = {name: port for name, port, _ in started}
        require_same(servers, bodies)
        for clients in options.clients:
            for what, (body, kind) in bodies.items():
                asked = {name: port for name, port in servers.items() if what != RAW or name == "lineage"}
                measured = {name: [] for name in asked}
                for _ in range(options.rounds):
                    for name, port in asked.items():
                        measured[name].append(measure(port, body, kind, clients, options.seconds))
                for name, found in measured.items():
                    show(clients, what, name, found)
    finally:
        for _, _, process in started:
            os.killpg(process.pid, signal.SIGTERM)
            process.wait()


def requests_of(root):
    """Bodies and media types of the requests that are measured, of images of the dataset version."""
    shard = sorted((root / "data" / "processed" / "shards").iterdir())[0]
    images = pq.read_table(shard, columns=["image"])["image"].to_pylist()
    images = (images * BATCH)[:BATCH]
    rows = [[base64.b64encode(image).decode()] for image in images]

    def split(some):
        return json.dumps({"dataframe_split": {"columns": ["image"], "data": some}}).encode(), "application/json"

    return {RAW: (images[0], "image/png"), ONE: split(rows[:1]), MANY: split(rows)}


def start_lineage(root, version):
    model = f"models:/{model_name(root)}/{version}"
    process = subprocess.Popen(
        ["lineage", "serve", model, "--port", "0"], cwd=root, stdout=subprocess.PIPE, text=True, start_new_session=True
    )
    for line in process.stdout:
        if found := re.match(r"serving \S+ at http://127\.0\.0\.1:(\d+)", line):
            return "lineage", int(found[1]), process
    sys.exit(f"lineage serve {model} did not begin to serve.")


def start_mlflow(root, version):
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    uri = re.search(r"^  uri: (\S+)", (root / "params.yaml").read_text(), re.MULTILINE)[1]
    command = ["mlflow", "models", "serve", "--model-uri", f"models:/{model_name(root)}/{version}"]
    process = subprocess.Popen(
        [*command, "--env-manager", "local", "--host", "127.0.0.1", "--port", str(port)],
        cwd=root,
        env={**os.environ, "MLFLOW_TRACKING_URI": uri},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    deadline = time.monotonic() + 300
    while True:
        try:
            connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
            connection.request("GET", "/ping")
            if connection.getresponse().status == 200:
                return "mlflow", port, process
        except OSError:
            if process.poll() is not None or time.monotonic() > deadline:
                sys.exit("mlflow models serve did not begin to serve.")
        time.sleep(0.2)  # between two looks


def model_name(root):
    return re.search(r"^  model_name: (\S+)", (root / "params.yaml").read_text(), re.MULTILINE)[1]


def require_same(servers, bodies):
    """Both give the same answers, or there is nothing to compare."""
    body, kind = bodies[MANY]
    said = [json.loads(ask(connect(port), body, kind))["predictions"] for port in servers.values()]
    for one, other in zip(*said, strict=True):
        if any(abs(one[name] - other[name]) > 1e-6 for name in one):
            sys.exit("the two servers give different answers.")


def connect(port):
    return http.client.HTTPConnection("127.0.0.1", port, timeout=60)


def ask(connection, body, kind):
    connection.request("POST", "/invocations", body, {"Content-Type": kind})
    answer = connection.getresponse()
    data = answer.read()
    if answer.status != 200:
        sys.exit(f"status {answer.status}: {data[:300]}")
    return data


def measure(port, body, kind, clients, seconds):
    """Seconds of each request, and how long all of them took."""
    begun = time.perf_counter()

    def keep_asking(_):
        connection, taken = connect(port), []
        while (now := time.perf_counter()) < begun + seconds:
            ask(connection, body, kind)
            taken.append(time.perf_counter() - now)
        return taken

    with ThreadPoolExecutor(clients) as pool:
        taken = [each for found in pool.map(keep_asking, range(clients)) for each in found]
    return taken, time.perf_counter() - begun


def show(clients, what, name, found):
    rates = [len(taken) / elapsed for taken, elapsed in found]
    times = [statistics.quantiles(taken, n=100) for taken, _ in found]
    half, last = (statistics.median(each[place] for each in times) * 1000 for place in (49, 98))
    print(
        f"{clients} clients, {what:<16} {name:<8} {statistics.median(rates):7.0f} requests/s "
        f"({min(rates):.0f} to {max(rates):.0f})  p50 {half:7.1f} ms  p99 {last:7.1f} ms",
        flush=True,
    )


if __name__ == "__main__":
    main()
