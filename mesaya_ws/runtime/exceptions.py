"""Exception groups, as nurseries raise them, where one error says enough."""

from typing import TypeVar

_Error = TypeVar("_Error", bound=BaseException)


def first(group: BaseExceptionGroup[_Error]) -> _Error:
    """Return the first leaf of a group, at any depth."""
    error: _Error | BaseExceptionGroup[_Error] = group
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return error


def only(error: BaseException, *kinds: type[_Error]) -> _Error | None:
    """Return the first error of `kinds` if `error` is one, or a group of nothing else; otherwise None.

    For callers that then exit: Python before 3.11.4 wraps a `SystemExit` that an `except*` clause raises in another
    group, and prints all of it (python/cpython#103590).
    """
    if isinstance(error, kinds):
        return error
    if not isinstance(error, BaseExceptionGroup):
        return None
    _, others = error.split(kinds)
    return first(error) if others is None else None
