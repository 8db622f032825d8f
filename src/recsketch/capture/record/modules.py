"""The decorator that makes a function a module."""

from __future__ import annotations

import functools
import inspect
import sys
import types
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any, TypeVar

import recsketch._check as _check
from recsketch.capture.record.provenance import ALONE
from recsketch.capture.record.recording import NOW, vector

if TYPE_CHECKING:
    import numpy.typing as npt

F = TypeVar("F", bound=Callable[..., Any])

LATER = (types.GeneratorType, types.AsyncGeneratorType, types.CoroutineType)


def module(
    name: str,
    *,
    attribute: Callable[[Any], npt.ArrayLike] | None = None,
    inputs: Callable[..., Iterable[Any]] | None = None,
) -> Callable[[F], F]:
    """Mark a function or method as a module, whose calls `record` records; its results are what they are without it.

    Parameters
    ----------
    name : str
        The module's name.
    attribute : callable, optional
        Gets what the function returned, right when it has, and makes a vector of finite numbers of it: one length for
        all calls of a module. If not given, the result itself, a number or an array of numbers, is the attribute.
    inputs : callable, optional
        Gets the arguments of a call and returns what it is made from: calls (`Recording.calls`), or objects that calls
        returned. These are then all its inputs, in that order.

    Returns
    -------
    callable
        A decorator, of functions and of those defined with ``async def``.

    Raises
    ------
    TypeError, ValueError
        `name` is no module name, `attribute` or `inputs` is not callable, or what is decorated is no function, or a
        generator function, whose result comes piece by piece.

    Notes
    -----
    What goes wrong in recording, in `attribute` or `inputs`, is an entry of `Recording.errors`; the program goes on.

    Examples
    --------
    >>> import recsketch as rs
    >>> @rs.module("eye", attribute=lambda seen: [len(seen)])
    ... def look(at):
    ...     return [*at, "seen"]
    >>> look(["a face"])
    ['a face', 'seen']
    >>> with rs.record() as runs:
    ...     seen = look(look([]))
    >>> print(runs.traces()[0].tree())
    eye [2]
    └─ 1.00 eye [1]
    """
    name = _check.module_name("name", name)
    for what, given in (("attribute", attribute), ("inputs", inputs)):
        if given is not None and not callable(given):
            raise TypeError(f"{what}: wanted a callable; got {_check.describe(given)}")
    made = vector if attribute is None else attribute

    def decorate(function: F) -> F:
        if isinstance(function, (staticmethod, classmethod, property)):
            kind = type(function).__name__
            raise TypeError(f"module {_check.shown(name)}: wanted a function; got a {kind}: put it above @module")
        if isinstance(function, type) or not callable(function):
            raise TypeError(f"module {_check.shown(name)}: wanted a function; got {_check.describe(function)}")
        if inspect.isgeneratorfunction(function) or inspect.isasyncgenfunction(function):
            wanted = "a function that returns its result"
            raise TypeError(f"module {_check.shown(name)}: wanted {wanted}; got a generator function")
        make = _asynchronous if inspect.iscoroutinefunction(function) else _plain
        called: F = make(name, function, made, inputs)
        return called

    return decorate


def _plain(name: str, function: Any, made: Callable[[Any], Any], inputs: Any) -> Any:
    @functools.wraps(function)
    def called(*args: Any, **kwargs: Any) -> Any:
        above = NOW.get()
        if above is None or not above.run.open:
            return function(*args, **kwargs)
        run = above.run
        frame = run.enter(name, above, inputs, args, kwargs)
        token = NOW.set(frame)
        try:
            result = function(*args, **kwargs)
            NOW.reset(token)
            if isinstance(result, LATER) or hasattr(type(result), "__await__"):
                run.failed("call", name, f"wanted a result; got a {type(result).__name__}, which comes later")
            else:
                fresh = sys.getrefcount(result) <= ALONE
                run.leave(name, frame, made, result, fresh)
            return result
        except BaseException:
            if NOW.get() is frame:
                NOW.reset(token)
            raise
        finally:
            frame.close()

    return called


def _asynchronous(name: str, function: Any, made: Callable[[Any], Any], inputs: Any) -> Any:
    @functools.wraps(function)
    async def called(*args: Any, **kwargs: Any) -> Any:
        above = NOW.get()
        if above is None or not above.run.open:
            return await function(*args, **kwargs)
        run = above.run
        frame = run.enter(name, above, inputs, args, kwargs)
        token = NOW.set(frame)
        try:
            result = await function(*args, **kwargs)
            NOW.reset(token)
            fresh = sys.getrefcount(result) <= ALONE
            run.leave(name, frame, made, result, fresh)
            return result
        except BaseException:
            if NOW.get() is frame:  # a coroutine that is thrown away may be closed in another context
                NOW.reset(token)
            raise
        finally:
            frame.close()

    return called
