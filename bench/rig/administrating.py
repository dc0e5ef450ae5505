"""Administrators at work on the node under measurement: a browser that turns pages, and exports of the audit log."""

from __future__ import annotations

import contextlib
import http.client
import os
import shutil
import ssl
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from http import HTTPStatus
from pathlib import Path
from urllib.parse import urlsplit

from bench.rig import machine
from tests.support.console import COOKIE, Browser
from tests.support.dev_node import DevNode, keystead

PAGES = ("/", "/keys", "/keys?per=100", "/users", "/audit", "/administrators", "/certificates")
TIMEOUT_S = 60
BROWSER_NICENESS = 19  # the load's own core, which must not wait for the browser


@dataclass
class Work:
    """What was done meanwhile, so that nobody measures beside idlers."""

    pages: int = 0
    exports: int = 0
    entries: int = 0


@contextlib.contextmanager
def administrators(node: DevNode) -> Iterator[Work]:
    """One browser without a pause, on the core of the load; one export after the other, on the core of the servers.

    Raises:
        RuntimeError: at the end, if a page or an export failed or none was done.
    """
    browser = Browser(node.ready["console"]["url"], Path(node.ready["ca_certificate"]))
    browser.log_in("admin", Path(node.ready["administrator"]["password_file"]).read_text())
    work, over, faults = Work(), threading.Event(), list[str]()
    command = [sys.executable, "-m", "bench.rig.administrating", browser.url, str(node.ready["ca_certificate"])]
    turning = subprocess.Popen(
        ["taskset", "--cpu-list", str(machine.cores()[1]), *command],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert turning.stdin is not None
    turning.stdin.write(browser.cookie + "\n")
    turning.stdin.flush()
    exporting = threading.Thread(target=_export, args=(node, over, work, faults))
    exporting.start()
    try:
        yield work
    finally:
        over.set()
        exporting.join()
        said, _ = turning.communicate()  # the end of its input ends it
        work.pages = int(said or 0)
    if faults or turning.returncode or not work.pages or not work.exports:
        raise RuntimeError(f"administrators were not at work: {faults}, {work}, browser {turning.returncode}")


def _export(node: DevNode, over: threading.Event, work: Work, faults: list[str]) -> None:
    while not over.is_set():
        out = Path(tempfile.mkdtemp(prefix="ks-export-"))
        words = [*keystead(), "audit", "export", "--out", str(out / "export"), "--data", str(node.data)]
        command = machine.on_core(machine.cores()[0], *words)
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        shutil.rmtree(out)
        if done.returncode:
            faults.append(done.stderr[-500:])
            return
        work.exports, work.entries = work.exports + 1, int(done.stdout.split()[0])


def _browse(url: str, authority: str) -> int:
    """Turn pages until the input ends; print how many."""
    os.nice(BROWSER_NICENESS)
    cookie = sys.stdin.readline().strip()
    over = threading.Event()
    threading.Thread(target=_wait_for_end, args=(over,), daemon=True).start()
    place, count = urlsplit(url), 0
    trust = ssl.create_default_context(cafile=authority)
    connection = http.client.HTTPSConnection(str(place.hostname), place.port, timeout=TIMEOUT_S, context=trust)
    while not over.is_set():
        path = PAGES[count % len(PAGES)]
        connection.request("GET", path, headers={"cookie": f"{COOKIE}={cookie}"})
        answer = connection.getresponse()
        answer.read()
        if answer.status != HTTPStatus.OK:
            print(f"{path}: {answer.status}", file=sys.stderr)
            return 1
        count += 1
    print(count)
    return 0


def _wait_for_end(over: threading.Event) -> None:
    sys.stdin.read()
    over.set()


if __name__ == "__main__":
    sys.exit(_browse(*sys.argv[1:]))
