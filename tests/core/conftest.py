import pytest

from tests.support.log import Platform


@pytest.fixture
def platform():
    """A platform with a restaurant `R` of `owner`, in it a section `s` with a table `t`, and an empty one, `R2`."""
    platform = Platform()
    platform.says("restaurant.created", "R", ownerId="owner", status="ACTIVE", adminNote="n", subscriptionId="b")
    platform.says("restaurant.created", "R2", ownerId="owner2", status="ACTIVE")
    platform.says("section.created", "s", restaurantId="R", name="Terraza")
    platform.says("table.created", "t", sectionId="s", capacity=4)
    return platform
