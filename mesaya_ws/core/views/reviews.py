"""The reviews of a restaurant: their records, and what `:reviews` shows."""

from mesaya_ws.core.platform.projections import Projections
from mesaya_ws.core.views.contents import Contents, alive_under
from mesaya_ws.core.views.parts import part_rule

review_rule = part_rule("reviews")


def review_contents(restaurant: str, projections: Projections) -> Contents:
    """Return the reviews of a restaurant."""
    return {"reviews": alive_under("review", "restaurantId", (restaurant,), projections)}
