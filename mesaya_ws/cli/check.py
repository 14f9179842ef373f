"""`mesaya-ws check`: what is configured, whether everything needed answers, and what must be fixed."""

from collections.abc import Awaitable, Callable, Iterable, Sequence
from datetime import UTC, datetime
from typing import Any

import click
import orjson
import trio
from rich.console import Console
from rich.table import Table
from rich.text import Text

from mesaya_ws.cli.failure import usable_settings
from mesaya_ws.cli.probes import Service, find_service, issuer_findings, platform_findings, service_findings
from mesaya_ws.cli.running import run
from mesaya_ws.core.log.inspection import Inspection, error, warning
from mesaya_ws.core.log.interface import LogUnavailableError
from mesaya_ws.core.log.records import Partition
from mesaya_ws.environment import given, unused
from mesaya_ws.eventlog import inspect_event_log
from mesaya_ws.settings import Settings, SettingsError, state_directory
from mesaya_ws.settings.display import shown
from mesaya_ws.statestore.inspection import StateFound, inspect_state

LOG_TIMEOUT = 30.0
"""Seconds to wait for the log."""

WRONG = 1
"""The exit status when something must be fixed; 0 otherwise, and 2 when the settings cannot be used at all."""


@click.command()
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def check(as_json: bool) -> None:
    """Say whether the service can do what it should, and show what is configured. Nothing is made or changed.

    Checks the settings, the event log and its topics, the state directory, the platform's API, the keys of
    JWT_JWKS_URL, and the service, if one runs. Exits with 0 when nothing must be mended, with 1 otherwise, and with 2
    when the settings cannot be used.
    """
    settings = usable_settings()
    inspection, service = run(_inspect, settings)
    states = inspect_state(state_directory(settings))
    inspection = inspection._replace(
        findings=[*inspection.findings, *(warning(each.trouble) for each in states if each.trouble is not None)]
    )
    findings = sorted(inspection.findings, key=lambda finding: not finding.is_error)
    errors = [finding.sentence for finding in findings if finding.is_error]
    warnings = [finding.sentence for finding in findings if not finding.is_error]
    if as_json:
        report = _report(settings, inspection, service, states, errors, warnings)
        click.echo(orjson.dumps(report, option=orjson.OPT_INDENT_2))
    else:
        for sentence in errors:
            click.echo(f"mesaya-ws: {sentence}", err=True)
        for sentence in warnings:
            click.echo(f"mesaya-ws: warning: {sentence}", err=True)
        if not errors:
            click.echo("All is well." if not warnings else "It works, with warnings.")
        if service.is_absent:
            click.echo(f"No service runs at {service.address}.")
        _show("Settings", ("setting", "value"), shown(settings))
        _show("Event log", ("topic", "partition", "first", "next"), _rows(inspection))
        if any(state.size is not None for state in states):
            heads = "folder", "publications", "bytes", "entities", "bytes", "window bytes", "oldest", "lag"
            _show(f"State on disk, in {state_directory(settings)}", heads, _state_rows(inspection, states))
    if errors:
        click.get_current_context().exit(WRONG)


async def inspect_log(
    settings: Settings,
    inspect: Callable[[Settings], Awaitable[Inspection]] = inspect_event_log,
) -> Inspection:
    """Examine the event log, by `inspect`; that it does not answer within LOG_TIMEOUT is a finding, too."""
    try:
        with trio.fail_after(LOG_TIMEOUT):
            return await inspect(settings)
    except SettingsError as failure:
        sentence = str(failure)
    except (LogUnavailableError, OSError) as failure:
        sentence = f"the event log does not answer: {failure}"
    except trio.TooSlowError:
        sentence = f"the event log does not answer: no answer within {LOG_TIMEOUT:.0f} s."
    return Inspection({}, (error(sentence),))


async def _inspect(settings: Settings) -> tuple[Inspection, Service]:
    """Examine log, service and platform at the same time."""
    findings = [warning(f"{sentence}.") for sentence in unused(settings, given())]
    if not settings.auth:
        findings.append(warning("AUTH=off, so private channels are open to everybody."))
    inspection, service = Inspection({}, ()), Service("")

    async def probe_log() -> None:
        nonlocal inspection
        inspection = await inspect_log(settings)

    async def probe_service() -> None:
        nonlocal service
        service = await trio.to_thread.run_sync(find_service, settings)
        findings.extend(await trio.to_thread.run_sync(lambda: list(service_findings(service, settings))))

    async def probe_platform() -> None:
        findings.extend(await trio.to_thread.run_sync(lambda: list(platform_findings(settings))))

    async def probe_issuer() -> None:
        findings.extend(await trio.to_thread.run_sync(lambda: list(issuer_findings(settings))))

    async with trio.open_nursery() as nursery:
        nursery.start_soon(probe_log)
        nursery.start_soon(probe_service)
        nursery.start_soon(probe_platform)
        nursery.start_soon(probe_issuer)
    return inspection._replace(findings=[*inspection.findings, *findings]), service


def _report(
    settings: Settings,
    inspection: Inspection,
    service: Service,
    states: Sequence[StateFound],
    errors: Sequence[str],
    warnings: Sequence[str],
) -> Any:
    facts = service.facts or {}
    partitions = sorted(inspection.extents.items())
    return {
        "ok": not errors,
        "errors": errors,
        "warnings": warnings,
        "service": {
            "address": service.address,
            "runs": service.facts is not None,
            "version": facts.get("version"),
            "ready": facts.get("ready"),
        },
        "settings": dict(shown(settings)),
        "log": [
            {"topic": topic, "partition": number, "first": begin, "next": end}
            for (topic, number), (begin, end, *_) in partitions
        ],
        "state": [
            {
                "folder": str(state.path),
                "records": state.size.entries,
                "bytes": state.size.entry_bytes,
                "entities": state.size.entities,
                "entityBytes": state.size.entity_bytes,
                "windowBytes": state.size.window_bytes,
                "oldest": state.size.oldest,
                "lag": state.lag(_ends(inspection)),
            }
            for state in states
            if state.size is not None
        ],
    }


def _rows(inspection: Inspection) -> Iterable[tuple[str, ...]]:
    for (topic, number), (begin, end, *_) in sorted(inspection.extents.items()):
        yield topic, str(number), str(begin), str(end)


def _ends(inspection: Inspection) -> dict[Partition, int]:
    return {partition: extent.end for partition, extent in inspection.extents.items()}


def _state_rows(inspection: Inspection, states: Iterable[StateFound]) -> Iterable[tuple[str, ...]]:
    for state in states:
        if (size := state.size) is None:
            continue
        oldest = "" if size.oldest is None else f"{datetime.fromtimestamp(size.oldest // 1000, UTC):%Y-%m-%dT%H:%M:%SZ}"
        lag = state.lag(_ends(inspection))
        numbers = size.entries, size.entry_bytes, size.entities, size.entity_bytes, size.window_bytes
        yield state.path.name, *map(str, numbers), oldest, "" if lag is None else str(lag)


def _show(title: str, heads: tuple[str, ...], rows: Iterable[tuple[str, ...]]) -> None:
    table = Table(title=title, title_justify="left")
    for head in heads:
        table.add_column(head, overflow="fold")
    for row in rows:
        table.add_row(*map(Text, row))
    Console().print(table)
