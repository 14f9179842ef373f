"""Groups of exceptions, as nurseries raise them, where one error says enough."""

from typing import TypeVar

_Error = TypeVar("_Error", bound=BaseException)


def first(group: BaseExceptionGroup[_Error]) -> _Error:
    """Return the first of the errors in a group, however deep it lies."""
    error: _Error | BaseExceptionGroup[_Error] = group
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return error
