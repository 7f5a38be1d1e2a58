"""genwright: a person's own data in, a generative model they can trust out.

    import genwright

    print(genwright.look("photos/"))
    model = genwright.train("photos/", family="vae")
    model.sample(64, seed=1).write("out/")

Nothing heavy is imported before it is used.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"
__all__ = [
    "Look",
    "Model",
    "Recipe",
    "Space",
    "__version__",
    "apply",
    "augment",
    "compare",
    "edit",
    "judge",
    "load",
    "look",
    "plan",
    "probe",
    "sample",
    "serve",
    "train",
    "translate",
]

if TYPE_CHECKING:
    from genwright.api import (
        Look,
        apply,
        augment,
        compare,
        edit,
        judge,
        load,
        look,
        plan,
        probe,
        sample,
        serve,
        train,
        translate,
    )
    from genwright.model import Model
    from genwright.recipe import Recipe
    from genwright.space import Space

_HOMES = {
    "Look": "genwright.api",
    "apply": "genwright.api",
    "augment": "genwright.api",
    "compare": "genwright.api",
    "edit": "genwright.api",
    "judge": "genwright.api",
    "load": "genwright.api",
    "look": "genwright.api",
    "plan": "genwright.api",
    "probe": "genwright.api",
    "sample": "genwright.api",
    "serve": "genwright.api",
    "train": "genwright.api",
    "translate": "genwright.api",
    "Model": "genwright.model",
    "Recipe": "genwright.recipe",
    "Space": "genwright.space",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'genwright' has no attribute {name!r}")
    from importlib import import_module

    return getattr(import_module(_HOMES[name]), name)


def __dir__() -> list[str]:
    return sorted(__all__)
