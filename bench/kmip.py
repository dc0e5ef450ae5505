"""The KMIP server against what is possible and what there is: ./dev bench kmip [--quick] [--only NAME]

One `keys` process on one core, the load on another, secure key cache on, everything through the gate. Compared in the
same run with an echo server in C (the floor that TLS and the kernel set), PyKMIP's server, and the disk's flush rate.
Prints a table; writes bench-results/kmip.json and kmip.svg; status 0 only if every line with a limit is met.
"""

from __future__ import annotations

import argparse
import contextlib
import sys
import tempfile
from dataclasses import replace
from pathlib import Path
from typing import Any

from bench.rig import keys, machine, native, reports, servers
from bench.rig.loads import LoadFailed
from bench.rig.reports import Comparison
from bench.rig.scenarios import SCENARIOS, Contest
from tests.support.kmip.sessions import Disconnected, Refused

ROUNDS, SECONDS, USERS, KEYS_PER_USER = 9, 2.0, 50, 200
QUICK_ROUNDS, QUICK_SECONDS, QUICK_USERS, QUICK_KEYS_PER_USER = 3, 0.5, 8, 50


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="one to two minutes; fewer rounds, users and keys")
    parser.add_argument("--only", action="append", choices=sorted(SCENARIOS), help="these scenarios (repeat)")
    parser.add_argument("--rounds", type=int, help=f"default {ROUNDS}")
    options = parser.parse_args()
    chosen = options.only or list(SCENARIOS)
    try:
        native.program("load")
    except native.CannotCompile as error:
        print(error, file=sys.stderr)
        return 2
    with tempfile.TemporaryDirectory(prefix="ks-") as name, contextlib.ExitStack() as stack:
        contest = begin(Path(name), stack, quick=options.quick, chosen=chosen)
        contest = replace(contest, rounds=options.rounds or contest.rounds)
        lines, failures = measure(contest, chosen)
    print(reports.table(reports.HEADINGS, [line.row() for line in lines]))
    results: dict[str, Any] = {"machine": machine.description(), "rounds": contest.rounds, "seconds": contest.seconds}
    results |= {"secure_key_cache": "on", "failures": failures, "lines": [line.as_json() for line in lines]}
    print(f"written: {reports.write('kmip', results)}")
    print(f"drawn: {reports.draw('kmip', lines)}")
    return 0 if not failures and all(line.is_met for line in lines) else 1


def begin(folder: Path, stack: contextlib.ExitStack, *, quick: bool, chosen: list[str]) -> Contest:
    """Start the three servers; they end with the stack."""
    mixture = "mixture" in chosen
    users = (QUICK_USERS if quick else USERS) if mixture else 1
    print("starting the echo server, PyKMIP and a node …", flush=True)
    ours, node = stack.enter_context(servers.node(folder / "node", web="administration" in chosen))
    if mixture:
        ours = replace(ours, clients=servers.add_users(node, users))
    pykmip = stack.enter_context(servers.pykmip(folder / "pykmip"))
    return Contest(
        node,
        ours,
        stack.enter_context(servers.echo(folder / "echo")),
        pykmip,
        keys.requests(ours),
        keys.requests(pykmip),
        QUICK_ROUNDS if quick else ROUNDS,
        QUICK_SECONDS if quick else SECONDS,
        users,
        QUICK_KEYS_PER_USER if quick else KEYS_PER_USER,
        folder,
    )


def measure(contest: Contest, chosen: list[str]) -> tuple[list[Comparison], list[str]]:
    """The lines of all scenarios, and a sentence for each that could not be measured."""
    lines: list[Comparison] = []
    failures: list[str] = []
    with machine.awake():
        for name in chosen:
            print(f"{name}: {SCENARIOS[name].__doc__}", flush=True)
            try:
                lines += SCENARIOS[name](contest)
            except (LoadFailed, Refused, Disconnected) as error:
                failures.append(f"{name} FAILED: {error}")
                print(failures[-1], flush=True)
    return lines, failures


if __name__ == "__main__":
    sys.exit(main())
