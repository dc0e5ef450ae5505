from pathlib import Path

import pytest

from tools import licences


@pytest.mark.parametrize(
    "expression", ["MIT", "Apache-2.0 OR BSD-3-Clause", "GPL-3.0-only OR MIT", "MIT AND PSF-2.0", "(MIT AND Zlib)"]
)
def test_allowed(expression: str) -> None:
    assert licences.is_allowed(expression)


@pytest.mark.parametrize(
    "expression",
    [
        "",
        "GPL-3.0-only",
        "MIT AND GPL-2.0-only",
        "LGPL-3.0-only",
        "(MIT OR GPL-2.0-only) AND LGPL-3.0-only",
        "mit-like",
    ],
)
def test_not_allowed(expression: str) -> None:
    assert not licences.is_allowed(expression)


def test_every_installed_library_says_its_licence() -> None:
    names = licences.pinned(licences.ROOT / "requirements/dev.txt")
    assert not [name for name in names if not licences.licence_of(name)]


def test_a_pin_for_another_platform_is_not_judged(tmp_path: Path) -> None:
    lock = tmp_path / "lock.txt"
    lock.write_text(
        "Some.Thing==1.0 \\\n    --hash=sha256:00\n"
        "elsewhere==2.0 ; sys_platform == 'win32' \\\n    --hash=sha256:00\n"
        "here==3.0 ; sys_platform == 'linux' \\\n    --hash=sha256:00\n"
    )
    assert licences.pinned(lock) == {"some-thing", "here"}
