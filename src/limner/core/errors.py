"""The one error a user can cause: it says what was given, what is accepted, what to type."""

from __future__ import annotations

from collections.abc import Iterable
from difflib import get_close_matches

SHOWN = 24
"""Most names that an error lists; half as many where one of them was likely meant."""


class UserError(Exception):
    """A mistake in a path, an option or a file. Programs print its one line and exit with 2."""


class Missing(UserError):
    """Data, weights or a package that this machine lacks: what needs them can be left out."""


def unknown(what: str, given: str, known: Iterable[str]) -> UserError:
    """No such thing: names the nearest known name first, then the others, as many as one line holds."""
    names = sorted(filter(None, known))
    begun = [name for name in names if given and name.lower().startswith(given.lower())]
    near = get_close_matches(given, names, n=1, cutoff=0.5) or begun[:1]
    hint = f"; did you mean {near[0]}?" if near else ";"
    shown = SHOWN // 2 if near else SHOWN
    more = f", … ({len(names)} in all)" if len(names) > shown else ""
    return UserError(f"no {what} {given!r}{hint} there are {', '.join(names[:shown]) or 'none'}{more}")
