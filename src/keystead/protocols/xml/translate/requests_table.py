"""The table of requests: element -> what it holds, what it means, what is answered.

docs/xml-interface.md is drawn from it.

Source: docs/adr/0053; requirements KS-NAE-003 to 020, 028.
"""

from keystead.protocols.xml.translate import crypto, key_versions, keys, sessions
from keystead.protocols.xml.translate.crypto import INLINE
from keystead.protocols.xml.translate.work import Row
from keystead.protocols.xml.wire.elements import Element

REQUESTS: dict[str, Row] = {
    "VersionRequest": sessions.VERSION,
    "AuthRequest": sessions.AUTH,
    "RandGenRequest": sessions.RANDOM,
    "DeviceInfoRequest": sessions.DEVICE,
    "RecordEventRequest": sessions.EVENT,
    "RecordMessageRequest": sessions.EVENT._replace(about="Another name of RecordEventRequest"),
    **keys.ROWS,
    **key_versions.ROWS,
    **crypto.ROWS,
}

_WITH_DATA = frozenset(name for name, row in REQUESTS.items() if row.data == "both")


def has_data(element: Element) -> bool:
    """Tell whether data follows a request; one that holds it itself is followed by none."""
    return element.name in _WITH_DATA and element.first(INLINE) is None
