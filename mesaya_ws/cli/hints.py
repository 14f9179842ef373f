"""What to try once the service runs, for somebody who has started it by hand for the first time."""

from collections.abc import Iterator
from pathlib import Path

from mesaya_ws.cli.address import service_address
from mesaya_ws.settings import Settings


def hints(settings: Settings, command: str, *, elsewhere: bool) -> Iterator[str]:
    """Yield lines that say where events come from, and what to try; `command` is how this program is called.

    With `elsewhere`, other commands cannot find the service by the settings alone.
    """
    address = f"{service_address(settings).rpartition(':')[0]}:{settings.port or '<port>'}"
    url = f" --url ws://{address}/ws" if elsewhere or not settings.port else ""
    if settings.kafka_brokers:
        brokers = ", ".join(settings.kafka_brokers)
        yield f"Events come from Kafka at {brokers}; `{command} check` says whether all is well."
    else:
        yield f"Events come from {settings.event_log_file.absolute()}, which is made when it is not there."
    yield f'When it says "listening", open http://{address}/console in a browser: it shows what happens, as it happens.'
    yield f"Or try in other terminals, in {Path.cwd()}:"
    yield f"  {command} tail{url} --snapshot global:restaurants"
    if not settings.kafka_brokers:
        yield f"  {command} produce --sample"
    yield f"or connect a browser, or wscat, to ws://{address}/ws; http://{address}/health says how it is."
