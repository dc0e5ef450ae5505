"""`keystead doctor`: what is wrong with a node and what to do, one line a finding."""

import argparse
import json
from dataclasses import asdict
from pathlib import Path

from keystead.node.doctor.examination import CHECKS, examine
from keystead.node.doctor.findings import Severity, Thresholds
from keystead.node.folder import read_config

EXIT_FOUND = 1


def doctor(words: argparse.Namespace) -> int:
    """Print the findings; the exit status is 1 if one of them is more than a note."""
    config = read_config(Path(words.data).absolute())
    findings = examine(config, Thresholds(expiry_days=words.days, verify_days=words.days))
    is_sound = all(finding.severity is Severity.NOTE for finding in findings)
    if words.json:
        told = {"sound": is_sound, "checks": ["stores", *CHECKS], "findings": [asdict(finding) for finding in findings]}
        print(json.dumps(told, indent=1))
    else:
        for finding in findings:
            print(f"{finding.severity.upper():7} {finding.check}: {finding.what} {finding.advice}")
        print(f"{len(CHECKS) + 1} checks, {len(findings)} findings" + ("; the node is sound" if is_sound else ""))
    return 0 if is_sound else EXIT_FOUND
