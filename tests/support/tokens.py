"""PKCS#11 libraries for tests, each with tokens of its own that nobody else sees."""

import itertools
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from keystead.core.secret import Secret
from keystead.node.token_process import COMMAND
from keystead.trust.modules import Module
from keystead.trust.pkcs11.modules import Pkcs11Engine, Pkcs11Module
from keystead.trust.pkcs11.processes import TokenPlace
from tests.support.components import skip_or_fail
from tests.support.modules import Bench

SOFTHSM_PLACES = ("/usr/lib/softhsm/libsofthsm2.so", "/usr/lib64/softhsm/libsofthsm2.so")
_numbers = itertools.count(1)


@dataclass
class TokenBench(Bench):
    """A module over a PKCS#11 token."""

    library: str = ""
    label: str = field(default_factory=lambda: f"keystead test {next(_numbers)}")
    maker_pin: Secret | None = None
    call_s: float = 10.0
    engine: Pkcs11Engine | None = None
    others: "list[TokenBench]" = field(default_factory=list)

    def module(self) -> Module:
        self.close()  # the one before is gone, as after a restart
        self.engine = Pkcs11Engine(TokenPlace(self.library, self.label, None, COMMAND, self.call_s), self.maker_pin)
        return Pkcs11Module(self.engine, self.state, self.node_secret, self.settings, self.clock)

    def another(self, domain: Secret | None = None) -> "TokenBench":
        made = super().another(domain)
        assert isinstance(made, TokenBench)
        made.library, made.maker_pin, made.user_countdown = self.library, self.maker_pin, self.user_countdown
        self.others.append(made)
        return made

    def close(self) -> None:
        """End the token's process."""
        if self.engine is not None:
            self.engine.lock()


def softhsm_library() -> str:
    """The library of Debian's softhsm2."""
    found = [place for place in SOFTHSM_PLACES if Path(place).exists()]
    return found[0] if found else skip_or_fail("softhsm2")


def softhsm_folder(folder: Path) -> Path:
    """Make an empty folder for tokens; return the file that SOFTHSM2_CONF names."""
    tokens = folder / "softhsm"
    tokens.mkdir()
    conf = folder / "softhsm2.conf"
    conf.write_text(f"directories.tokendir = {tokens}\nobjectstore.backend = file\nlog.level = ERROR\n")
    return conf


@contextmanager
def softhsm(folder: Path) -> Iterator[TokenBench]:
    """A SoftHSM token that was never used."""
    library = softhsm_library()
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SOFTHSM2_CONF", str(softhsm_folder(folder)))
        bench = TokenBench(library=library)
        yield bench
        for each in (bench, *bench.others):
            each.close()
