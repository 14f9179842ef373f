"""What the attacks share: the gateway that they attack, and the honest client that must not notice."""

from collections.abc import Iterator

import pytest

from tests.e2e.conftest import bystander, start_gateway  # noqa: F401 - fixtures
from tests.security.aftermath import check_calm, check_no_fault, open_sockets
from tests.security.honest import HonestClient, honest_client
from tests.support.gateway import Gateway, running
from tests.timing import PATIENCE

TOKEN = "canary-of-the-publisher"


@pytest.fixture(scope="module")
def gateway(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    """One for all attacks of a module; after the last one, nothing of them is left in it."""
    settings = {"PUBLISH_TOKEN": TOKEN, "HANDSHAKE_TIMEOUT": "8", "CLOSE_TIMEOUT": "1"}
    with running(tmp_path_factory.mktemp("attacked"), **settings) as gateway:
        gateway.until(lambda: gateway.metric("mesaya_live"), PATIENCE, "it has read its log")
        sockets = open_sockets(gateway) + 1  # the metrics are asked for on one more
        begin = len(gateway.output)
        yield gateway
        check_calm(gateway, sockets)
        check_no_fault(gateway.output[begin:])


@pytest.fixture
def honest(gateway: Gateway) -> Iterator[HonestClient]:
    """A client that is answered within a second all the while."""
    with honest_client(gateway) as client:
        yield client
