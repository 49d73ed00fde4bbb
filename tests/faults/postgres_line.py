"""A line to a PostgreSQL server that can be cut at the worst moment: around a COMMIT."""

from __future__ import annotations

import socket
import threading
from collections.abc import Generator
from contextlib import contextmanager, suppress
from pathlib import Path

from psycopg.conninfo import conninfo_to_dict, make_conninfo

COMMIT = b"COMMIT\0"
BEFORE, AFTER = "before the server hears of the commit", "before its answer comes back"


class Line:
    """Passes on what client and server say; ``cut`` names when the next COMMIT breaks the connection."""

    def __init__(self, uri: str, folder: Path) -> None:
        told = conninfo_to_dict(uri)
        self._server = Path(str(told["host"])) / f".s.PGSQL.{told.get('port') or 5432}"
        self.uri = make_conninfo(uri, host=str(folder))
        self.cut = ""
        self.closed = False
        """True: nobody gets through any more."""
        self.cuts = 0
        self._listening = socket.socket(socket.AF_UNIX)
        self._listening.bind(str(folder / self._server.name))
        self._listening.listen(50)
        self._threads = [threading.Thread(target=self._accept, daemon=True)]
        self._threads[0].start()

    def close(self) -> None:
        self._listening.shutdown(socket.SHUT_RDWR)
        self._listening.close()
        for thread in self._threads:
            thread.join(timeout=30)

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listening.accept()
            except OSError:
                return
            if self.closed:
                client.close()
                continue
            server = socket.socket(socket.AF_UNIX)
            server.connect(str(self._server))
            for work in (self._to_server, self._to_client):
                thread = threading.Thread(target=work, args=(client, server), daemon=True)
                self._threads.append(thread)
                thread.start()

    def _to_server(self, client: socket.socket, server: socket.socket) -> None:
        with suppress(OSError):
            while part := client.recv(1 << 16):
                if self.cut and COMMIT in part:
                    when, self.cut = self.cut, ""
                    self.cuts += 1
                    if when is AFTER:
                        # The server hears it, and nobody hears the server.
                        _end(client)
                        server.sendall(part)
                    break
                server.sendall(part)
        _end(client)
        with suppress(OSError):
            server.shutdown(socket.SHUT_WR)

    def _to_client(self, client: socket.socket, server: socket.socket) -> None:
        with suppress(OSError), server, client:
            while part := server.recv(1 << 16):
                with suppress(OSError):
                    client.sendall(part)


def _end(one: socket.socket) -> None:
    with suppress(OSError):
        one.shutdown(socket.SHUT_RDWR)


@contextmanager
def line_to(uri: str, folder: Path) -> Generator[Line]:
    """A line to this server, which listens on a socket in a folder."""
    line = Line(uri, folder)
    try:
        yield line
    finally:
        line.close()
