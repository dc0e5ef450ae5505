"""The C programs of the benchmarks, compiled when first needed."""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import tempfile
from pathlib import Path

SOURCES = Path(__file__).resolve().parents[1] / "native"
PROGRAMS = {"echo": ("echo.c", "tls.c"), "load": ("load.c", "connection.c", "tls.c")}
HINT = "On Debian: apt-get install gcc libc6-dev libssl-dev"


class CannotCompile(Exception):
    """No compiler, no OpenSSL headers, or a mistake in the source; the message says which."""


def program(name: str) -> Path:
    """Path of a compiled program; built once per version of the sources, in a private temporary folder.

    Raises:
        CannotCompile: with the compiler's words.
    """
    digest = hashlib.sha256(b"".join(path.read_bytes() for path in sorted(SOURCES.iterdir()))).hexdigest()[:16]
    folder = Path(tempfile.gettempdir()) / f"keystead-bench-{os.getuid()}"
    folder.mkdir(mode=0o700, exist_ok=True)
    if folder.stat().st_uid != os.getuid():
        raise CannotCompile(f"{folder} belongs to another user; remove it")
    built = folder / f"{name}-{digest}"
    if built.exists():
        return built
    compiler = shutil.which("cc") or shutil.which("gcc")
    if compiler is None:
        raise CannotCompile(f"no C compiler. {HINT}")
    with tempfile.TemporaryDirectory(dir=folder) as scratch:
        fresh = Path(scratch) / name
        sources = [str(SOURCES / source) for source in PROGRAMS[name]]
        command = [compiler, "-O2", "-o", str(fresh), *sources, "-lssl", "-lcrypto"]
        done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
        if done.returncode:
            raise CannotCompile(f"{' '.join(command)} failed. {HINT}\n{done.stderr}")
        fresh.replace(built)
    return built
