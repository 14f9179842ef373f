"""What a person should know of the embedded log's file, without that it is made or changed."""

import os
import shutil
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

from mesaya_ws.core.log.inspection import Finding, Inspection, error, warning
from mesaya_ws.eventlog.sqlite.database import Database, DatabaseError
from mesaya_ws.eventlog.sqlite.follower import extents
from mesaya_ws.settings import Settings, followed

PATIENCE = 5.0
"""Seconds to wait for a file that another program has locked."""

ROOM = 256 * 1024 * 1024
"""Free bytes on the disk below which that is told."""


def inspect(settings: Settings) -> Inspection:
    """Look at the file, if it is there, and where it is to be; to be run in a thread."""
    path = settings.event_log_file.absolute()
    found = {}
    findings = list(_findings_of_place(path.parent))
    if path.exists() and not findings:
        try:
            with closing(Database(path, PATIENCE)) as file:
                file.try_to_write()
                topics = file.topics()
            found = extents({name: topic for name, topic in topics.items() if name in followed(settings)})
        except DatabaseError as failure:
            findings.append(error(f"EVENT_LOG_FILE: {failure}"))
    return Inspection(found, [*findings, *_findings_of_room(path.parent)])


def _findings_of_place(folder: Path) -> Iterator[Finding]:
    if not folder.is_dir():
        yield error(f"EVENT_LOG_FILE: there is no directory {folder}: make it, or name another file.")
    elif not os.access(folder, os.W_OK | os.X_OK):
        yield error(f"EVENT_LOG_FILE: {folder} cannot be written, where the log and its journal are: see its rights.")


def _findings_of_room(folder: Path) -> Iterator[Finding]:
    try:
        free = shutil.disk_usage(folder).free
    except OSError:
        return
    if free < ROOM:
        yield warning(f"EVENT_LOG_FILE: only {free // 1024**2} MiB are free on the disk of {folder}: make room.")
