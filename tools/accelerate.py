"""Compile the modules on the path of requests with mypyc into .accelerated/ (docs/adr/0007).

The modules stand in pyproject.toml. Without a C compiler or Python's headers this says so and leaves the sources to
run as they are. Nothing is built while the build fits the sources.
"""

import json
import shutil
import subprocess
import sys
import sysconfig
import tempfile
import tomllib
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "src"))

from keystead import acceleration

ROOT = Path(__file__).parents[1]

COMPILE = """
import os, sys
from mypyc.build import mypycify
from setuptools import setup
modules = mypycify(sys.argv[1:], opt_level="1", debug_level="0", separate=True)
arguments = ["build_ext", "--inplace", f"-j{os.cpu_count() or 1}"]
setup(name="keystead", packages=[], ext_modules=modules, script_args=arguments)
"""
"""A module each, so that all processors help; optimising harder gains nothing that can be measured."""


def wanted() -> list[str]:
    """Return the sources to compile, below the package, in order."""
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text())
    patterns: list[str] = settings["tool"]["keystead"]["compiled"]
    found = {path for pattern in patterns for path in acceleration.PACKAGE.glob(pattern)}
    return sorted(str(path.relative_to(acceleration.PACKAGE)) for path in found)


def obstacle() -> str | None:
    """Return why nothing can be compiled here, None if it can."""
    compiler = (sysconfig.get_config_var("CC") or "cc").split()[0]
    if shutil.which(compiler) is None:
        return f"there is no C compiler ({compiler})"
    if not Path(sysconfig.get_path("include"), "Python.h").exists():
        return "Python's headers are missing (on Debian: python3-dev)"
    return None


def build(sources: list[str], into: Path) -> str | None:
    """Compile into a folder and write the manifest; return what went wrong, if anything did."""
    with tempfile.TemporaryDirectory() as scratch:
        copy = Path(scratch, "src")
        shutil.copytree(acceleration.PACKAGE, copy / "keystead", ignore=shutil.ignore_patterns("__pycache__"))
        shutil.copy(ROOT / "pyproject.toml", scratch)  # how strict the types are
        command = [sys.executable, "-c", COMPILE, *(f"keystead/{source}" for source in sources)]
        done = subprocess.run(command, cwd=copy, capture_output=True, text=True, check=False)
        if done.returncode:
            return done.stdout[-3000:] + done.stderr[-3000:]
        suffix = str(sysconfig.get_config_var("EXT_SUFFIX"))
        files = {}
        for path in (copy / "keystead").rglob(f"*{suffix}"):
            name = ".".join(path.relative_to(copy).parts)[: -len(suffix)]
            files[name] = f"{name}.so"
            shutil.copy(path, into / files[name])
    manifest = {
        "interpreter": acceleration.interpreter(),
        "files": files,
        "sources": {source: acceleration.digest_of(acceleration.PACKAGE / source) for source in sources},
    }
    (into / acceleration.MANIFEST).write_text(json.dumps(manifest, indent=1))
    return None


def main() -> int:
    """Build unless that is done; return 0 also where nothing can be built."""
    sources = wanted()
    if (
        acceleration.compiled()
        and sorted(json.loads((acceleration.BUILD / acceleration.MANIFEST).read_text())["sources"]) == sources
    ):
        return 0
    why = obstacle()
    if why is not None:
        print(f"accelerate: {why}; keystead runs from its sources, about a third slower", file=sys.stderr)
        return 0
    print(f"accelerate: compiling {len(sources)} modules, which takes about a minute", file=sys.stderr)
    fresh = Path(tempfile.mkdtemp(prefix=".accelerated-", dir=ROOT))
    failure = build(sources, fresh)
    if failure is not None:
        shutil.rmtree(fresh)
        print(f"accelerate: the compiler failed, so keystead runs from its sources\n{failure}", file=sys.stderr)
        return 1
    shutil.rmtree(acceleration.BUILD, ignore_errors=True)
    fresh.rename(acceleration.BUILD)
    return 0


if __name__ == "__main__":
    sys.exit(main())
