"""A family small enough to look into."""

from __future__ import annotations

from genwright.families.base import Family
from genwright.nets.roles import Auto
from genwright.space import Real, Space, Symbol


def tiny(kind: type[Family]) -> Family:
    return kind(Space((), (Real(2), Symbol(3))), {"label": Space((), (Symbol(2),))}, Auto("xs"))
