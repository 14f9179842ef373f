"""What SQLite's errors mean for a log file: what is wrong with it, and what to do."""

import sqlite3


def reason(error: sqlite3.Error) -> str:
    """Return what is wrong with a file and what to do: the rest of a sentence that begins with its path."""
    match getattr(error, "sqlite_errorcode", 0) & 0xFF:  # the other bits are details (https://sqlite.org/rescode.html)
        case sqlite3.SQLITE_BUSY | sqlite3.SQLITE_LOCKED:
            return "is locked by another program: end that one, or wait for it"
        case sqlite3.SQLITE_READONLY:
            return "cannot be written: see the rights of the file and its directory, and whether the disk is read-only"
        case sqlite3.SQLITE_FULL:
            return "cannot grow, the disk is full: make room"
        case sqlite3.SQLITE_CANTOPEN:
            return "is not there or cannot be opened: see its directory, and the rights of both"
        case sqlite3.SQLITE_IOERR:
            return f"cannot be read or written ({error}): see the disk, and the room that is left on it"
        case sqlite3.SQLITE_NOTADB:
            return "is not an event log of mesaya-ws: choose another file"
        case sqlite3.SQLITE_CORRUPT:
            return "is damaged: put a sound copy in its place"
        case _:
            return f"cannot be used: {error}"
