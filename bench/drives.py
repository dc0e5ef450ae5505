"""Keys of a token to a set of three drives, few against many: ./dev bench drives [--keys N]

A SoftHSM token is filled with AES keys; each number is backed up from a token of its own, without the time of filling.
Prints a table; writes bench-results/drives.json; status 0 only if ten times the keys take at most 15 times as long.
"""

import argparse
import os
import sys
import tempfile
import time
from pathlib import Path

from bench.rig import machine, reports
from tests.support.drives import Kinds, Room, fill, make_token
from tests.support.modules import Bench
from tests.support.tokens import softhsm_folder, softhsm_library

KEYS, GROWTH, RATIO_MAX = 10_000, 10, 15.0
MEMORY = Path("/dev/shm")  # tokens flush each key that they are filled with, which is not measured


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--keys", type=int, default=KEYS)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="ks-", dir=MEMORY if MEMORY.is_dir() else None) as name:
        folder = Path(name)
        os.environ["SOFTHSM2_CONF"] = str(softhsm_folder(folder))
        room = Room(folder / "node", softhsm_library(), Bench().unlocked())
        drives = room.drives(folder, 3)
        few, many = (measured(room, drives, count) for count in (options.keys // GROWTH, options.keys))
    ratio = many / few
    print(f"{options.keys // GROWTH:>9,} keys {few:7.2f} s")
    print(f"{options.keys:>9,} keys {many:7.2f} s, {ratio:.1f} times as long")
    results = {
        "machine": machine.description(),
        "keys": options.keys,
        "few_s": few,
        "many_s": many,
        "ratio": ratio,
        "ratio_max": RATIO_MAX,
    }
    print(f"written: {reports.write('drives', results)}")
    return 0 if ratio <= RATIO_MAX else 1


def measured(room: Room, drives: list[Path], count: int) -> float:
    """Return how long a backup of so many keys takes, in seconds."""
    label = f"{count} keys"
    make_token(label)
    fill(room.library, label, Kinds(count, 0, 0, 0, 0, 0, 0))
    began = time.perf_counter()
    report = room.backup([label], drives)
    assert report.manifest.keys_count == count
    return time.perf_counter() - began


if __name__ == "__main__":
    sys.exit(main())
