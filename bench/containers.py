#!/usr/bin/env python3
"""What the containers cost: the size of the images, the time until the server is healthy, the memory of an idle one.

usage: python3 bench/containers.py [--json]     after `docker compose build`
"""

import argparse
import json
import subprocess
import sys
import time
from statistics import median

IMAGES = ("flag-server", "flag-client")
STARTS = 5


def docker(*words: str) -> str:
    result = subprocess.run(["docker", *words], capture_output=True, text=True, check=False)
    if result.returncode != 0:
        sys.exit(f"docker {' '.join(words)}: {result.stderr.strip()}")
    return result.stdout.strip()


def image_megabytes(image: str) -> float:
    """Of all layers, as stored on disk."""
    return int(docker("image", "inspect", "--format", "{{.Size}}", image)) / 1e6


def start() -> tuple[str, float, float]:
    """An idle server: its container, the seconds until it accepted (a TCP connection inside the container), and until it was healthy."""
    begin = time.monotonic()
    container = docker("run", "--detach", "--rm", "--read-only", "--cap-drop", "ALL", "flag-server")
    accepts = None
    while accepts is None:
        probe = subprocess.run(["docker", "exec", container, "/flag-server", "healthcheck"], capture_output=True, check=False)
        if probe.returncode == 0:
            accepts = time.monotonic() - begin
    while docker("inspect", "--format", "{{.State.Health.Status}}", container) != "healthy":
        time.sleep(0.02)
    return container, accepts, time.monotonic() - begin


def resident_megabytes(container: str) -> float:
    """The resident set of the server's process according to `ps`: all its pages in memory, including the program."""
    rows = docker("top", container, "-o", "pid,rss").splitlines()[1:]
    return sum(int(row.split()[-1]) for row in rows) * 1024 / 1e6


def measure() -> dict:
    accepts, healthy, resident = [], [], []
    for _ in range(STARTS):
        container, accepted, became_healthy = start()
        resident.append(resident_megabytes(container))
        docker("stop", container)
        accepts.append(accepted)
        healthy.append(became_healthy)
    return {
        "image_megabytes": {image: round(image_megabytes(image), 2) for image in IMAGES},
        "seconds_from_run_to_accepting": round(median(accepts), 3),
        "seconds_from_run_to_healthy": round(median(healthy), 3),
        "idle_server_resident_megabytes": round(median(resident), 2),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--json", action="store_true", help="one JSON document")
    as_json = parser.parse_args().json
    figures = measure()
    if as_json:
        print(json.dumps(figures, indent=2))
        return
    for image, size in figures["image_megabytes"].items():
        print(f"{f'image {image}':34} {size:6.1f} MB")
    print(f"{'docker run until it accepts':34} {figures['seconds_from_run_to_accepting']:6.2f} s")
    print(f"{'docker run until it is healthy':34} {figures['seconds_from_run_to_healthy']:6.2f} s")
    print(f"{'resident memory of an idle server':34} {figures['idle_server_resident_megabytes']:6.1f} MB")


if __name__ == "__main__":
    main()
