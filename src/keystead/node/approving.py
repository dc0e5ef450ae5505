"""Sealing requests that wait for approvals in the `admin` process, which has no keyring.

Source: design.md section 6 ("pending approvals", "what is readable while locked"); docs/adr/0070.
"""

from keystead.core.secret import Secret
from keystead.trust.node_key import NodeKey

PURPOSE = "approvals"


class ApprovalSeal:
    """Seals under a key of the node (operations.approval_records.Sealer): approving works while the module is locked.

    Args:
        node_key: Of the node.
    """

    def __init__(self, node_key: NodeKey) -> None:
        self._node_key = node_key

    def seal(self, record_id: str, secret: Secret) -> bytes:
        """Seal a request for its record."""
        return self._node_key.seal(PURPOSE, record_id.encode(), secret)

    def unseal(self, record_id: str, sealed: bytes) -> Secret:
        """Open it.

        Raises:
            Tampered: another node's, another record's, or changed.
        """
        return self._node_key.unseal(PURPOSE, record_id.encode(), sealed)
