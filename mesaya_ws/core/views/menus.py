"""The menus and dishes of a restaurant: their records, and what `:menu` shows."""

from mesaya_ws.core.platform.projections import Projections
from mesaya_ws.core.views.contents import Contents, alive_under, count_under
from mesaya_ws.core.views.parts import part_rule

menu_rule = part_rule("menu")
"""The rule for menus, and for dishes."""


def menu_contents(restaurant: str, projections: Projections) -> Contents:
    """Return the menus and dishes of a restaurant."""
    return {
        "menus": alive_under("menu", "restaurantId", (restaurant,), projections),
        "dishes": alive_under("dish", "restaurantId", (restaurant,), projections),
    }


def menu_size(restaurant: str, projections: Projections) -> int:
    """Return how many these are."""
    return count_under("menu", restaurant, projections) + count_under("dish", restaurant, projections)
