import io
import os
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from keystead.core.errors import Invalid, KeysteadError, Refused, Tampered
from keystead.core.secret import Secret
from keystead.custody.modules import files
from keystead.custody.modules.state import Mode
from tests.support.secure_modules import Workshop

KEY, LINEAGE = Secret(bytes(range(32))), bytes(16)
UNIT = files.UNIT_BYTES
LENGTHS = [
    0,
    1,
    15,
    16,
    17,
    UNIT - 33,
    UNIT - 16,
    UNIT - 1,
    UNIT,
    UNIT + 1,
    UNIT + 32,
    UNIT + 48,
    2 * UNIT,
    3 * UNIT + 7,
]


def encrypted(content: bytes, mode: Mode = Mode.XTS, key: Secret = KEY, lineage: bytes = LINEAGE) -> bytes:
    target = io.BytesIO()
    assert files.encrypt(io.BytesIO(content), target, key, mode, lineage) == len(content)
    return target.getvalue()


def decrypted(data: bytes, key: Secret = KEY, lineage: bytes = LINEAGE) -> bytes:
    target = io.BytesIO()
    files.decrypt(io.BytesIO(data), target, key, lineage)
    return target.getvalue()


@pytest.mark.row("CA-023")
@pytest.mark.parametrize("mode", list(Mode))
@pytest.mark.parametrize("length_bytes", LENGTHS)
def test_files_come_back_in_both_modes(mode: Mode, length_bytes: int) -> None:
    content = os.urandom(length_bytes)
    assert decrypted(encrypted(content, mode)) == content


@pytest.mark.row("CA-023")
def test_a_module_uses_xts_unless_told_and_ecb_only_by_the_legacy_switch(tmp_path: Path) -> None:
    module = Workshop(tmp_path).source()
    assert module.state.mode is Mode.XTS
    with pytest.raises(Refused, match="legacy"):
        module.set_mode(Mode.ECB)
    blocks = bytes(16 * 1000)
    first, second = io.BytesIO(), io.BytesIO()
    module.encrypt(io.BytesIO(blocks), first)
    module.set_mode(Mode.ECB, legacy_ecb=True)
    module.encrypt(io.BytesIO(blocks), second)
    repeats = [data.getvalue().count(data.getvalue()[400:416]) for data in (first, second)]
    assert repeats[0] == 1
    assert repeats[1] > 500  # what the switch warns of
    for data in (first, second):
        target = io.BytesIO()
        data.seek(0)
        module.decrypt(data, target)
        assert target.getvalue() == blocks


@given(st.integers(0, 10**9), st.integers(1, 255))
@settings(deadline=None)
def test_no_byte_can_be_changed(place: int, change: int) -> None:
    data = bytearray(ONE)
    data[place % len(data)] ^= change
    with pytest.raises(KeysteadError):
        decrypted(bytes(data))


@given(st.integers(0, 10**9))
@settings(deadline=None)
def test_no_end_can_be_missing(length_bytes: int) -> None:
    with pytest.raises((Tampered, Invalid)):
        decrypted(ONE[: length_bytes % len(ONE)])


ONE = encrypted(os.urandom(1000))


@pytest.mark.parametrize("mode", list(Mode))
def test_units_cannot_be_swapped_repeated_or_appended(mode: Mode) -> None:
    data = encrypted(os.urandom(3 * UNIT), mode)
    head = len(data) - 3 * UNIT - 16 - 32
    first, second = data[head : head + UNIT], data[head + UNIT : head + 2 * UNIT]
    rest = data[head + 2 * UNIT :]
    for changed in (
        data[:head] + second + first + rest,
        data[:head] + first + first + second + rest,
        data[:head] + first + rest,
        data + bytes(16),
    ):
        with pytest.raises(Tampered):
            decrypted(changed)


def test_another_key_is_told_apart_from_a_changed_file() -> None:
    with pytest.raises(Refused, match="another key"):
        decrypted(ONE, lineage=bytes([1] * 16))
    with pytest.raises(Tampered):
        decrypted(ONE, key=Secret(bytes(32)))


@pytest.mark.parametrize("data", [b"", b"nothing", files.MAGIC, files.MAGIC + b"\xff\xff", files.MAGIC + b"\0\1\xa0"])
def test_other_files_are_named_so(data: bytes) -> None:
    with pytest.raises((Invalid, Tampered)):
        decrypted(data)


def test_equal_files_give_different_bytes() -> None:
    assert encrypted(b"the same")[60:] != encrypted(b"the same")[60:]
