"""The REST interface tried against its own description: 100 examples for each operation, all checks on.

Writes bench-results/rest.json: requests, how often each status came, operations that never succeeded, and what was
found. Exit status 1 if anything was found.
"""

import argparse
import json
import sys
import tempfile
import time
from pathlib import Path

from tests.support.rest.described import SUCCEEDED_SHARE_MIN, tried


def main() -> int:
    """Try, and write down."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--examples", type=int, default=100)
    parser.add_argument("--timeout-s", type=float, default=3600.0)
    options = parser.parse_args()
    begun_s = time.monotonic()
    with tempfile.TemporaryDirectory() as folder:
        found = tried(Path(folder), options.examples, options.timeout_s)
    silent = sorted(f"{method} {path}" for method, path in found.described - found.succeeded)
    share = 1 - len(silent) / len(found.described)
    told = {
        "examples_per_operation": options.examples,
        "operations": len(found.described),
        "requests": found.cases_count,
        "statuses": found.statuses,
        "succeeded_share": round(share, 3),
        "never_succeeded": silent,
        "found": found.said,
        "seconds": round(time.monotonic() - begun_s),
    }
    results = Path("bench-results")
    results.mkdir(exist_ok=True)
    (results / "rest.json").write_text(json.dumps(told, indent=1) + "\n")
    print(json.dumps(told, indent=1))
    return 1 if found.said or share < SUCCEEDED_SHARE_MIN else 0


if __name__ == "__main__":
    sys.exit(main())
