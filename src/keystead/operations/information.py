"""What the server can do: Query and Discover Versions pass the gate like everything else.

Source: KMIP 1.4 sections 4.25 and 4.26; KMIP 2.1 section 6.1.26; requirements KS-KMIP-017, 046.
"""

from dataclasses import dataclass

from keystead.core.errors import NotSupported, Refused
from keystead.core.permission import Access, Right
from keystead.gate.call import Call
from keystead.gate.operation import operation


@dataclass(frozen=True, slots=True)
class Query:
    """Ask for capabilities; `functions` are KMIP's Query Function values."""

    functions: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class DiscoverVersions:
    """Ask which protocol versions both sides speak, given the asker's (major, minor), best first."""

    versions: tuple[tuple[int, int], ...] = ()


@dataclass(frozen=True, slots=True)
class Interop:
    """Begin, end or reset an interoperability test (KMIP 2.1 section 6.1.26); only under the mark of a test store."""

    function: int
    identifier: str = ""


INTEROP_BEGIN, INTEROP_END = 1, 2


@operation(Query, "server.query", "Query", user=Right.NONE, administrator=Access.ANY, route=None)
def query(_call: Call, request: Query) -> tuple[int, ...]:
    """Return the functions asked for; the protocol answers them from its tables."""
    return request.functions


@operation(
    DiscoverVersions, "server.versions", "DiscoverVersions", user=Right.NONE, administrator=Access.ANY, route=None
)
def discover_versions(_call: Call, request: DiscoverVersions) -> tuple[tuple[int, int], ...]:
    """Return the versions asked for; the protocol answers which of them it speaks."""
    return request.versions


@operation(Interop, "server.interop", "Interop", user=Right.NONE)
def interop(call: Call, request: Interop) -> None:
    """Let a test say that it begins or ends, for whoever reads the activity log; nothing is ever reset.

    Raises:
        NotSupported: this is not a test server.
        Refused: another function.
    """
    if not call.switches.interop:
        raise NotSupported("Interop exists on test servers only", "not_supported.operation")
    if request.function not in (INTEROP_BEGIN, INTEROP_END):
        raise Refused("the server is not reset; begin on a new store instead", "refused.feature")
