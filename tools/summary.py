"""The end of `./dev test`: every skipped test by name and reason, then one plain line of figures.

Exit status 1 if a test failed or if none ran.
"""

import json
import sys
from pathlib import Path


def main(folder: Path) -> int:
    summary_file = folder / "summary.json"
    if not summary_file.exists():
        print("dev: no test ran to its end")
        return 1
    summary = json.loads(summary_file.read_text())
    if summary["skips"]:
        print("\nSKIPPED: these tests proved nothing in this run")
        for test, reason in sorted(summary["skips"].items()):
            print(f"  {test}\n      {reason}")
    rows = json.loads((folder / "rows.json").read_text())
    print(f"\n{len(rows)} requirement rows proven: {folder / 'rows.json'}")
    print(f"tests: {summary['passed']} passed, {summary['failed']} failed, {summary['skipped']} skipped")
    return 1 if summary["failed"] or not summary["passed"] else 0


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))
