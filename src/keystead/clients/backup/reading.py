"""Reads what a snapshot consists of: its list of entries, and the content of files, every chunk proven before use.

Source: requirements DS-001, DS-002; docs/design/backup-format.md.
"""

import hmac
from collections import OrderedDict
from collections.abc import Iterable, Iterator

from keystead.clients.backup import entries
from keystead.clients.backup.entries import Entry
from keystead.clients.backup.sealing import BackupKeys, Kind
from keystead.clients.backup.snapshots import Snapshot
from keystead.core.errors import NotFound, Tampered
from keystead.custody.safeguard.depot import Area, Depot

RECENT_COUNT_MAX = 4


class Reader:
    """Fetches and opens chunks.

    Attributes:
        got_bytes: What came from the vault.
    """

    def __init__(self, depot: Depot, keys: BackupKeys) -> None:
        self._depot = depot
        self._keys = keys
        self._recent: OrderedDict[tuple[Area, bytes], bytes] = OrderedDict()
        self.got_bytes = 0

    def entries(self, snapshot: Snapshot) -> Iterator[Entry]:
        """Give the entries of a snapshot, in order.

        Raises:
            Tampered: a part of the list is missing or is not what the snapshot names.
        """
        return entries.read(self._chunk(Area.CLIENT, Kind.LIST, chunk_id) for chunk_id in snapshot.list_ids)

    def content(self, entry: Entry) -> Iterator[bytes]:
        """Give a file's content in pieces; the last is given only when the whole is proven.

        Raises:
            Tampered: a chunk is missing or is not what the entry names, or the whole is not the file.
        """
        code = self._keys.of(entry.area).file_code()
        held = b""
        for piece in entry.pieces:
            chunk = self._data(entry.area, piece.id)
            part = chunk[piece.offset : piece.offset + piece.length]
            if len(part) != piece.length:
                raise Tampered("a chunk is shorter than the part of a file that lies in it")
            if held:
                yield held
            held = part
            code.update(part)
        if not hmac.compare_digest(code.digest(), entry.code):
            raise Tampered("the chunks of a file are not the whole file")
        if held:
            yield held

    def is_content(self, entry: Entry, blocks: Iterable[bytes]) -> bool:
        """Tell whether these blocks together are a file's content, without asking the vault."""
        code = self._keys.of(entry.area).file_code()
        for block in blocks:
            code.update(block)
        return hmac.compare_digest(code.digest(), entry.code)

    def _data(self, area: Area, chunk_id: bytes) -> bytes:
        """Bundles are asked for once for each file in them: the last few chunks stay at hand."""
        place = (area, chunk_id)
        if place in self._recent:
            self._recent.move_to_end(place)
            return self._recent[place]
        content = self._chunk(area, Kind.DATA, chunk_id)
        self._recent[place] = content
        if len(self._recent) > RECENT_COUNT_MAX:
            self._recent.popitem(last=False)
        return content

    def _chunk(self, area: Area, kind: Kind, chunk_id: bytes) -> bytes:
        try:
            sealed = self._depot.get(area, chunk_id)
        except NotFound:
            raise Tampered("the vault does not hold a part that this snapshot needs") from None
        self.got_bytes += len(sealed)
        return self._keys.of(area).checked(kind, chunk_id, sealed)
