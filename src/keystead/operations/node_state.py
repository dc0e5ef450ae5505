"""How the key-serving process was started and what the system lets it do; for `keystead doctor`.

Source: design.md section 6 ("cores and swap"); requirement KS-STAT-002.
"""

from dataclasses import dataclass

from keystead.core.permission import Access
from keystead.gate.call import Call
from keystead.gate.operation import operation

NODE_STATE = "node_state"
"""Service of the gate: a function without arguments that returns a NodeState."""


@dataclass(frozen=True, slots=True)
class ShowNode:
    """Show how the process that serves keys runs."""


@dataclass(frozen=True, slots=True)
class NodeState:
    """How the process that serves keys runs.

    Attributes:
        version: Of keystead.
        pid: Of the process.
        kmip_port: Where it serves.
        compiled_count: Modules that run compiled; 0 = everything runs from source.
        is_core_possible: A crash could write its memory to a file, or another process read it.
        is_memory_locked: All of its memory is kept out of swap, not only the pages of held keys.
        open_files_limit: As many files and connections it can have open.
        connections_limit: As many of them can be KMIP connections.
    """

    version: str
    pid: int
    kmip_port: int
    compiled_count: int
    is_core_possible: bool
    is_memory_locked: bool
    open_files_limit: int
    connections_limit: int


@operation(ShowNode, "node.show", "NodeShow", administrator=Access.ANY, material=True)
def show_node(call: Call, _request: ShowNode) -> NodeState:
    """Return the state."""
    state: NodeState = call.desk.services[NODE_STATE]()
    return state
