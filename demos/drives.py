"""Keys of hardware-style tokens on a set of five drives: four are ruined, the tokens wiped, and the keys come back.

Source: requirements CB-001 to 021; docs/drives.md.
"""

import os
import shutil
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

from demos.story import Failure, check, say, title
from keystead.core.errors import KeysteadError
from keystead.core.secret import Secret
from keystead.custody.drives.backup import BackupReport
from keystead.custody.drives.jobs import Asker, Step
from tests.support.drives import (
    OFFICER_PIN,
    USER_PIN,
    Kinds,
    Room,
    fill,
    has_windows,
    inventory,
    make_token,
    pictures,
    wipe_token,
)
from tests.support.modules import Bench
from tests.support.tokens import SOFTHSM_PLACES, softhsm_folder, softhsm_library

SLOTS = {
    "payroll": Kinds(aes=26, generic=15, rsa=4, ec=7, certificates=6, locked=2, open=1),
    "archive": Kinds(aes=22, generic=15, rsa=3, ec=7, certificates=7, locked=2, open=1),
    "backup": Kinds(aes=20, generic=15, rsa=3, ec=6, certificates=7, locked=1, open=0),
}
KEYS_COUNT, LOCKED_COUNT = 200, 5
State = dict[str, list[tuple[str, str]]]


def main() -> int:
    """Tell the story; 0 only if all of it worked."""
    began = time.monotonic()
    if not any(Path(place).exists() for place in SOFTHSM_PLACES):
        print("This needs SoftHSM2, tokens in software. On Debian: apt-get install softhsm2", file=sys.stderr)
        return 2
    folder = Path(tempfile.mkdtemp(prefix="keystead-drives-"))
    os.environ["SOFTHSM2_CONF"] = str(softhsm_folder(folder))
    try:
        _tell(folder)
    except (Failure, KeysteadError) as error:
        print(f"\nThis did not work: {error}", file=sys.stderr)
        return 1
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    say(f"It took {time.monotonic() - began:.0f} s.")
    return 0


def _tell(folder: Path) -> None:
    bench = Bench()
    room = Room(folder / "node", softhsm_library(), bench.unlocked(), bench)
    room.two_persons = True
    secrets, before = _fill(room)
    drives, report = _back_up(room, folder)
    seen = pictures([*drives, room.folder])
    pins = [OFFICER_PIN.encode(), USER_PIN.encode()]
    check(not any(has_windows(seen, each) for each in [*secrets, *pins]), f"{len(seen):,} bytes of drives searched:")
    say(f"none of {len(secrets)} secret values, in pieces of 8 bytes, and neither PIN stands in them.")
    _ruin(drives)
    after = _bring_back(room, drives, report)
    _compare(before, after, report)


def _fill(room: Room) -> tuple[list[bytes], State]:
    title("1. Three slots with 200 keys, certificates and secrets")
    secrets: list[bytes] = []
    for label, kinds in SLOTS.items():
        make_token(label)
        secrets += fill(room.library, label, kinds)
    before = {label: inventory(room.library, label) for label in SLOTS}
    count = sum(len(each) for each in before.values())
    check(count == KEYS_COUNT, f"{count} objects over {len(SLOTS)} slots; each was used, and the result written down.")
    return secrets, before


def _back_up(room: Room, folder: Path) -> tuple[list[Path], BackupReport]:
    title("2. A backup to a set of five drives")
    drives = room.drives(folder, 5)
    say("Five drives are registered: each has an identity that the node signed, and a token for its next visit.")
    try:
        room.backup(list(SLOTS), drives, asker=Asker("olga", "olga"))
    except KeysteadError as error:
        say(f"Olga alone may not: {error.message}.")
    else:
        raise Failure("two persons are demanded")
    room.stop_at = _show
    report = room.backup(list(SLOTS), drives, asker=Asker("olga", "sandro", "192.0.2.9"))
    room.stop_at = lambda _what, _number: None
    saved = report.manifest.keys_count
    check(
        saved == KEYS_COUNT - LOCKED_COUNT,
        f"{saved} are saved, on every one of {len(report.drives)} drives, read back.",
    )
    for each in report.unsaved:
        say(f"NOT saved: {each.label} of {each.partition}: {each.reason}.")
    check(len(report.unsaved) == LOCKED_COUNT, "These five are counted as not saved.")
    return drives, report


def _show(what: str, number: int) -> None:
    if what in set(Step):
        say(f"[{number}/{len(Step)}] {what}")


def _ruin(drives: list[Path]) -> None:
    title("3. Four drives are ruined, the tokens are wiped")
    keys = [next((drive / "keystead-sets").iterdir()) / "keys" for drive in drives]
    data = bytearray(keys[0].read_bytes())
    data[len(data) // 2] ^= 1
    keys[0].write_bytes(data)
    say("drive 1: one bit has turned.")
    os.truncate(keys[1], len(data) // 2)
    say("drive 2: its set is cut off.")
    shutil.rmtree(drives[2])
    drives[2].mkdir()
    say("drive 3: erased.")
    (drives[3] / "keystead-drive").write_bytes(os.urandom(3_500))
    say("drive 4: its identity is overwritten.")
    for label in SLOTS:
        wipe_token(label)
    say("All three tokens are deleted and made anew, empty.")


def _bring_back(room: Room, drives: list[Path], report: BackupReport) -> State:
    title("4. A restore from what is left")
    targets = {label: label for label in SLOTS}
    try:
        room.restore(targets, drives[:4], asker=Asker("olga", "sandro"))
    except KeysteadError as error:
        say(f"With the four ruined drives: {error.message}.")
    else:
        raise Failure("ruined drives are refused")
    empty = all(inventory(room.library, label) == [] for label in SLOTS)
    check(empty, "The tokens are as they were: empty.")
    thief = Room(
        room.folder.parent / "thief", room.library, Bench().unlocked(), origin=room.origin, key=Secret(os.urandom(32))
    )
    try:
        thief.restore(targets, drives[4:])
    except KeysteadError as error:
        say(f"A thief with the good drive: {error.message}.")
    else:
        raise Failure("another module opens nothing")
    back = room.restore(targets, drives, asker=Asker("olga", "sandro"))
    check(back.drive == "drive 5", f"With all five attached, {back.drive} is read. The others are named:")
    for told in back.wrong.values():
        say(f"  {told}")
    check(back.restored_count == report.manifest.keys_count, f"{back.restored_count} keys are back in their slots.")
    return {label: inventory(room.library, label) for label in SLOTS}


def _compare(before: State, after: State, report: BackupReport) -> None:
    title("5. Every key is used again")
    was = Counter(each for rows in before.values() for each in rows)
    now = Counter(each for rows in after.values() for each in rows)
    check(
        not now - was, f"{now.total()} have the same attributes and give the same results as before, in the same slots."
    )
    lost = was - now
    check(
        lost.total() == LOCKED_COUNT == len(report.unsaved), f"{lost.total()} are gone: those that no module lets out."
    )
    title("What was proved")
    say("One good drive of five brings back all that can leave a module; whatever cannot is named beforehand.")
    say("Drives show no key and no PIN, ruined ones are named one by one, and another module opens nothing.")


if __name__ == "__main__":
    sys.exit(main())
