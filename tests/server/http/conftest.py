import pytest

from tests.server.http.service import Service


@pytest.fixture
def service() -> Service:
    return Service()
