"""Kills a node and cuts its power hundreds of times under concurrent writers: ./dev bench durability [--rounds 200]

Prints one line per ten rounds and a table; writes bench-results/durability.json; status 0 only if nothing acknowledged
was lost, nothing was half there, the node came back by itself each time, and the control, which does not flush, lost.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict
from pathlib import Path
from typing import Any

from bench.rig import machine, reports
from tests.crash.rig import Blow, Rig, Round
from tests.support.dev_node import NotReady

BLOWS: tuple[Blow, ...] = ("kill", "cut")
NO_FLUSH = "store.insecure_no_flush=true"
CONTROL_ROUNDS = 5
PROGRESS_ROUNDS = 10
FINDINGS_SHOWN = 3


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=200, help="kills, and as many cuts")
    parser.add_argument("--seed", type=int, default=int(time.time()), help="of choices and moments")
    options = parser.parse_args()
    print(f"seed {options.seed}")
    with ThreadPoolExecutor(2) as pool:  # two nodes, each dead or starting half of the time
        both = [pool.submit(strike, blow, options.rounds, options.seed + n) for n, blow in enumerate(BLOWS)]
    kills, cuts = (future.result() for future in both)
    print("the control, which does not flush and must lose:")
    control = strike("cut", CONTROL_ROUNDS, options.seed + 2, settings=(NO_FLUSH,), stop_at_first=True)
    lines = [summary("kill -9", kills), summary("power cut", cuts), summary("control, no flush", control)]
    print(reports.table(["blow", "rounds", "acknowledged", "blocks lost", "findings", "restart p50/max s"], lines))
    good = not any(r.found for r in kills + cuts) and any(r.found for r in control)
    results: dict[str, Any] = {"machine": machine.description(), "seed": options.seed, "good": good}
    for name, rounds in (("kill", kills), ("cut", cuts), ("control", control)):
        results[name] = [asdict(r) for r in rounds]
    print(f"written: {reports.write('durability', results)}")
    print("Nothing lost, and the control lost." if good else "FAILED")
    return 0 if good else 1


def strike(
    blow: Blow, count: int, seed: int, *, settings: tuple[str, ...] = (), stop_at_first: bool = False
) -> list[Round]:
    """Rounds on one node; findings of the last judgement of everything are added to the last round."""
    rounds: list[Round] = []
    with tempfile.TemporaryDirectory(prefix="ks-") as folder:
        rig = Rig(Path(folder), seed, settings)
        try:
            rig.start()
            while len(rounds) < count and not (stop_at_first and rounds and rounds[-1].found):
                rounds.append(rig.strike(blow))
                tell(blow, rounds, count)
                if rounds[-1].restart_s == 0:
                    return rounds
            if not stop_at_first:
                rounds[-1].found.extend(rig.judge_all())
        except NotReady as error:
            rounds.append(Round(blow, 0, None, [str(error)], 0))
            tell(blow, rounds, count)
        finally:
            rig.node.kill()
    return rounds


def tell(blow: Blow, rounds: list[Round], count: int) -> None:
    found = rounds[-1].found
    for finding in found[:FINDINGS_SHOWN]:
        print(f"{blow} {len(rounds)}: {finding}")
    if len(found) > FINDINGS_SHOWN:
        print(f"{blow} {len(rounds)}: and {len(found) - FINDINGS_SHOWN} more like these (all are in the JSON)")
    if len(rounds) % PROGRESS_ROUNDS == 0:
        acknowledged = sum(r.acknowledged for r in rounds)
        all_found = sum(len(r.found) for r in rounds)
        print(f"{blow} {len(rounds)}/{count}: {acknowledged} acknowledged, {all_found} findings", flush=True)


def summary(name: str, rounds: list[Round]) -> list[str]:
    restarts = sorted(r.restart_s for r in rounds)
    return [
        name,
        str(len(rounds)),
        str(sum(r.acknowledged for r in rounds)),
        str(sum(r.loss.blocks for r in rounds if r.loss)),
        str(sum(len(r.found) for r in rounds)),
        f"{restarts[len(restarts) // 2]:.2f} / {restarts[-1]:.2f}",
    ]


if __name__ == "__main__":
    sys.exit(main())
