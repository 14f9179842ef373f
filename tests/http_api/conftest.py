import pytest

from .service import Service


@pytest.fixture
def service() -> Service:
    return Service()
