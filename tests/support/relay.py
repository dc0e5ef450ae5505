"""A relay before a PostgreSQL server, on a Unix socket, that cuts a connection where a test wants it cut."""

from __future__ import annotations

import contextlib
import select
import socket
import struct
import threading
from collections.abc import Callable
from enum import Enum
from pathlib import Path

from tests.support.postgresql import PORT

CHUNK_BYTES = 1 << 16
CANCEL = struct.pack(">II", 16, 80_877_102)


class Cut(Enum):
    """When the connection that carries the next COMMIT ends."""

    BEFORE = "COMMIT does not reach the server, which is told of the end"
    STALLED = "COMMIT does not reach the server, which is told nothing"
    WITHIN = "the server gets half of it"
    AFTER = "the server gets all of it, and its answer finds nobody"
    ANSWERED = "the server has answered, and the answer is lost"


class Relay:
    """Passes connections on; a cut strikes once.

    Attributes:
        folder: To be given as host.
        cut: The next COMMIT ends its connection so; None = all pass.
        on_cut: Called before a cut strikes.
        cuts_count: How often a cut has struck.
        is_open: False = newcomers are turned away.
        cancels_count: Requests to cancel something that were seen.
    """

    def __init__(self, folder: Path, server: Path) -> None:
        self.folder = folder
        self.cut: Cut | None = None
        self.on_cut: Callable[[], None] = lambda: None
        self.cuts_count = 0
        self.is_open = True
        self.cancels_count = 0
        self._server = server
        self._sockets: list[socket.socket] = []
        self._listening = socket.socket(socket.AF_UNIX)
        self._listening.bind(str(folder / f".s.PGSQL.{PORT}"))
        self._listening.listen()
        self._threads = [threading.Thread(target=self._accept)]
        self._threads[0].start()

    def close(self) -> None:
        self._listening.shutdown(socket.SHUT_RDWR)
        self._threads[0].join(10)
        for each in self._sockets:
            with contextlib.suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)
        for thread in self._threads:
            thread.join(10)
        for each in (*self._sockets, self._listening):
            each.close()

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listening.accept()
            except OSError:
                return
            if not self.is_open:
                client.close()
                continue
            server = socket.socket(socket.AF_UNIX)
            server.connect(str(self._server))
            self._sockets += [client, server]
            thread = threading.Thread(target=self._pass_on, args=(client, server))
            self._threads.append(thread)
            thread.start()

    def _pass_on(self, client: socket.socket, server: socket.socket) -> None:
        cut: Cut | None = None
        with contextlib.suppress(OSError):
            while True:
                ready, _, _ = select.select([client, server], [], [])
                for source, target in ((client, server), (server, client)):
                    if source not in ready:
                        continue
                    data = source.recv(CHUNK_BYTES)
                    if not data:
                        raise OSError
                    self.cancels_count += data.startswith(CANCEL)
                    if source is client and b"COMMIT" in data and self.cut is not None:
                        cut, self.cut = self.cut, None
                        self.on_cut()
                        data = _passed(cut, data)
                    if cut is Cut.ANSWERED and source is server:
                        raise OSError
                    target.sendall(data)
                    if cut is not None and cut is not Cut.ANSWERED:
                        raise OSError
        self.cuts_count += cut is not None
        with contextlib.suppress(OSError):
            client.shutdown(socket.SHUT_RDWR)
        if cut is not Cut.STALLED:
            with contextlib.suppress(OSError):
                server.shutdown(socket.SHUT_RDWR)


def _passed(cut: Cut, data: bytes) -> bytes:
    """What the server still gets."""
    if cut in {Cut.BEFORE, Cut.STALLED}:
        return b""
    return data[: data.index(b"COMMIT") + 3] if cut is Cut.WITHIN else data
