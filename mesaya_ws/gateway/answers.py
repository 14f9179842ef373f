"""Answers of other services by HTTP, read within bounds of time and bytes: the platform's API, the issuer of tokens."""

from collections.abc import Mapping

import httpx
import trio

ANSWER_SECONDS = 5.0
"""Seconds for a whole answer. Records that wait for a parent wait for PARENT_TIMEOUT, which is less."""


class BadAnswerError(Exception):
    """A service gave an unexpected answer; the message is the rest of a sentence."""


async def read_answer(
    client: httpx.AsyncClient,
    url: str,
    headers: Mapping[str, str],
    max_bytes: int,
    *,
    missing_is_fine: bool = False,
    timeout: float = ANSWER_SECONDS,  # noqa: ASYNC109 - its end is an answer that is no good
) -> bytes | None:
    """Return the body of the answer to a GET, within `timeout` seconds; None for 404 if `missing_is_fine`.

    It is not unpacked: a compressed answer could be far larger than it seems, so `identity` is asked for. Raises
    `BadAnswerError` for another status (a redirection, too: it may lead anywhere), one that is too large, and one that
    comes too late; and what httpx raises.
    """
    body = bytearray()
    asked = {**headers, "Accept-Encoding": "identity"}
    with trio.move_on_after(timeout) as patience:
        async with client.stream("GET", url, headers=asked) as response:
            if response.status_code == httpx.codes.NOT_FOUND and missing_is_fine:
                return None
            if response.status_code != httpx.codes.OK:
                raise BadAnswerError(f"it answers {response.status_code}")
            async for part in response.aiter_raw():
                body += part
                if len(body) > max_bytes:
                    # Leaving the loop would leave httpx's generators unfinished.
                    patience.cancel()
    if len(body) > max_bytes:
        raise BadAnswerError(f"it answers more than {max_bytes} bytes")
    if patience.cancelled_caught:
        raise BadAnswerError(f"it does not answer within {timeout:.0f} s")
    return bytes(body)
