"""A security module with its surroundings: a state in memory, a clock that only moves when told, role secrets."""

from collections.abc import Sequence
from dataclasses import dataclass, field

from keystead.core.secret import Secret
from keystead.trust.modules import Module, ModuleSettings
from keystead.trust.role_tokens import new_role_secret
from keystead.trust.root import PartitionRequest, Role
from keystead.trust.software import SoftwareModule

START_US = 1_800_000_000_000_000
US_PER_S = 1_000_000


@dataclass
class MemoryState:
    """Keeps a module's state; `saves` tells everything that was ever durable, in order."""

    saves: list[bytes] = field(default_factory=list)

    def load(self) -> bytes | None:
        return self.saves[-1] if self.saves else None

    def save(self, state: bytes) -> None:
        self.saves.append(state)


class SetClock:
    """A clock that stands until it is moved."""

    def __init__(self) -> None:
        self.now_us = START_US

    def __call__(self) -> int:
        return self.now_us

    def pass_s(self, seconds: float) -> None:
        self.now_us += int(seconds * US_PER_S)


@dataclass
class Bench:
    """A module with everything around it that a test wants to reach."""

    settings: ModuleSettings = field(default_factory=ModuleSettings)
    state: MemoryState = field(default_factory=MemoryState)
    clock: SetClock = field(default_factory=SetClock)
    node_secret: Secret = field(default_factory=new_role_secret)
    security_officer: Secret = field(default_factory=new_role_secret)
    domain: Secret = field(default_factory=new_role_secret)
    crypto_user: Secret = field(default_factory=new_role_secret)
    user_countdown: Sequence[int] = tuple(range(9, -1, -1))

    def module(self) -> Module:
        """Start a module on the state as it is; calling it again is a restart."""
        return SoftwareModule(self.state, self.node_secret, self.settings, self.clock)

    def another(self, domain: Secret | None = None) -> "Bench":
        """Another module of the same kind, perhaps of the same domain."""
        return type(self)(domain=domain or new_role_secret())

    def countdown(self, role: Role) -> Sequence[int]:
        """What each wrong secret leaves of a role's attempts, as delivered."""
        return self.user_countdown if role is Role.CRYPTO_USER else (2, 1, 0)

    def partition_request(self, existing: bytes | None = None) -> PartitionRequest:
        return PartitionRequest(self.security_officer, self.domain, self.crypto_user, existing)

    def unlocked(self) -> Module:
        """A module that is set up, with its crypto user logged in."""
        module = self.module()
        module.initialise(self.security_officer, self.domain)
        module.create_partition(self.partition_request())
        return module
