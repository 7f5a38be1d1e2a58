"""Laws that anything registered must keep: for the package's own tests, and for those of a plug-in.

    from genwright.testing import check_codec

    def test_levels_keep_the_laws():
        check_codec("levels", make_levels)

Each check raises an `AssertionError` whose sentence names the law that is broken. What a class cannot keep it
declares itself, in `contract_exceptions`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from genwright.testing.bridges import check_bridge
    from genwright.testing.codecs import check_codec
    from genwright.testing.extractors import check_extractor
    from genwright.testing.families import check_family
    from genwright.testing.fields import check_field
    from genwright.testing.metrics import check_metric
    from genwright.testing.tasks import check_task

__all__ = [
    "check_bridge",
    "check_codec",
    "check_extractor",
    "check_family",
    "check_field",
    "check_metric",
    "check_task",
]

_HOMES = {
    "check_bridge": "genwright.testing.bridges",
    "check_codec": "genwright.testing.codecs",
    "check_extractor": "genwright.testing.extractors",
    "check_family": "genwright.testing.families",
    "check_field": "genwright.testing.fields",
    "check_metric": "genwright.testing.metrics",
    "check_task": "genwright.testing.tasks",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'genwright.testing' has no attribute {name!r}")
    from importlib import import_module

    return getattr(import_module(_HOMES[name]), name)


def __dir__() -> list[str]:
    return sorted(__all__)
