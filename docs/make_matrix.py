"""Writes `docs/matrix.md`: what every family can do, what `genwright.planning` says of it on typical spaces, and
how it reads conditions."""

from __future__ import annotations

from pathlib import Path

from genwright.errors import GenwrightError
from genwright.families.capabilities import (
    Autoencoder,
    DensityEstimator,
    Encoder,
    Generative,
    Infilling,
    LatentVariable,
)
from genwright.families.translator import Translator
from genwright.nets.auto import Auto
from genwright.nets.cond import Conditioner
from genwright.planning import make_bridge, verdicts, weigh
from genwright.registry import build, names, resolve
from genwright.space import CondSpec, Real, Space, Symbol

SPACES = {
    "table, mixed row of 14 columns": Space(
        (), (Real(1), Symbol(9), Symbol(16), *[Real(1)] * 5, *[Symbol(7)] * 6)
    ),
    "table, binned row of 14 columns": Space((), (Symbol(32),) * 14),
    "text, 256 of 82 characters": Space((256,), (Symbol(82),)),
    "text, 256 of 4,096 BPE pieces": Space((256,), (Symbol(4096),)),
    "level, 14 x 28 of 12 tiles": Space((14, 28), (Symbol(12),)),
    "picture, grey 8 x 8": Space((8, 8), (Real(1, bounded=True),)),
    "picture, grey 28 x 28": Space((28, 28), (Real(1, bounded=True),)),
    "picture, colour 32 x 32": Space((32, 32), (Real(3, bounded=True),)),
    "picture, colour 64 x 64": Space((64, 64), (Real(3, bounded=True),)),
    "series, 24 of 6 numbers and 1 of 4 states": Space((24,), (Real(6), Symbol(4))),
    "film, 16 colour pictures of 64 x 64": Space((16, 64, 64), (Real(3, bounded=True),)),
    "latent vector of 16": Space((), (Real(16),)),
}

MADE = {
    "a picture": Space((8, 8), (Real(1, bounded=True),)),
    "a text": Space((16,), (Symbol(10),)),
    "a row": Space((), (Real(6),)),
}
CONDITIONS = {
    "label": CondSpec(Space((), (Symbol(3),))),
    "row of numbers": CondSpec(Space((), (Real(4),))),
    "aligned, the same grid": CondSpec(Space((8, 8), (Real(1),)), align=True),
    "aligned, a coarser grid": CondSpec(Space((4, 4), (Real(1),)), align=True),
    "aligned text": CondSpec(Space((16,), (Symbol(9),)), align=True),
    "picture": CondSpec(Space((8, 8), (Real(1),))),
    "text": CondSpec(Space((16,), (Symbol(9, pad=0),))),
}

HEAD = """\
# Which family takes which data

Written by `docs/make_matrix.py` from the function that `genwright plan` asks; a test keeps it up to
date. **native**: as it is. **bridged**: through a two-way change of the data, named behind it (see
[planning.md](planning.md)). **refused**: not at all, for the reason below the table.

Not every kind of data listed here has a codec that reads it yet; the README says which do.
"""

OFFERS = {
    "makes examples": Generative,
    "translates between domains, without pairs": Translator,
    "keeps what is known of an example": Infilling,
    "says how probable an example is": DensityEstimator,
    "says an example in a vector": Encoder,
    "makes an example of a latent code": LatentVariable,
    "says an example in a smaller one, and back": Autoencoder,
}
OFFERED = """\
## What a family can do

Each line is a class of `families/capabilities.py` (or `translator.py`), of which the families that do it are
made.
"""

CONDITIONED = """\
## Which family reads which condition

With `net.name=auto`, for a picture of 8 x 8, a text of 16 and a row of 6 numbers to be made. **vector**: as
one vector that modulates all layers, from a grid by a network over it. **tokens**: by attention, each token
with its place. **grid**: resampled to the grid of what is made, as channels beside it. Where a family's
networks differ, all ways are named. What is refused, is for the reason below the table. `source` and `domain`
are what the translators between domains are given; see [tasks.md](tasks.md).
"""


def render() -> str:
    notes: list[str] = []
    tables = [HEAD, *_taken(notes), "", OFFERED, *_offered(), "", CONDITIONED, *_conditioned(notes)]
    reasons = [f"{i}. {note}" for i, note in enumerate(notes, 1)]
    return "\n".join([*tables, "", "Refused:", "", *reasons]) + "\n"


def _taken(notes: list[str]) -> list[str]:
    """The table of families and data."""
    families = names("families")
    lines = [f"| data | {' | '.join(families)} |", "|---" * (len(families) + 1) + "|"]
    for name, space in SPACES.items():
        cells = []
        for verdict in verdicts(space):
            if verdict.outcome == "refused":
                ways = " or ".join(f"`{way}`" for way in verdict.ways)
                notes.append(verdict.reason + (f"; try {ways}" if ways else ""))
                cells.append(f"refused ({len(notes)})")
            elif verdict.outcome == "bridged":
                cells.append(f"bridged: {verdict.bridge}")
            else:
                cells.append(verdict.outcome)
        lines.append(f"| {name} | {' | '.join(cells)} |")
    return lines


def _offered() -> list[str]:
    """The table of families and what they can do."""
    families = names("families")
    lines = [f"| class | {' | '.join(families)} |", "|---" * (len(families) + 1) + "|"]
    for what, capability in OFFERS.items():
        cells = []
        for family in families:
            kind = resolve("families", family)
            how = {Infilling: "infills", DensityEstimator: "likelihood"}.get(capability, "")
            cells.append(getattr(kind, how, "yes") if issubclass(kind, capability) else "no")
        lines.append(f"| `{capability.__name__}`: {what} | {' | '.join(cells)} |")
    return lines


def _conditioned(notes: list[str]) -> list[str]:
    """The table of families and conditions."""
    families = names("families")
    lines = [f"| condition | {' | '.join(families)} |", "|---" * (len(families) + 1) + "|"]
    for what, space in MADE.items():
        for name, spec in CONDITIONS.items():
            if spec.align and len(space.grid) != len(spec.space.grid):
                continue
            cells = [_reads(family, space, spec, notes) for family in families]
            lines.append(f"| {what} from: {name} | {' | '.join(cells)} |")
    return lines


def _reads(family: str, space: Space, spec: CondSpec, notes: list[str]) -> str:
    """How a family, over a space or behind its bridge, reads one condition."""
    verdict = weigh(family, space)
    try:
        if verdict.outcome == "refused":
            raise GenwrightError(verdict.reason)
        target = make_bridge(verdict.bridge, {}).plan(space)
        made = build("families", family, {}, target, {"given": spec}, Auto("xs"), where="family")
    except GenwrightError as error:
        if str(error) not in notes:
            notes.append(str(error))
        return f"refused ({notes.index(str(error)) + 1})"
    readers = [module for module in made.modules() if isinstance(module, Conditioner)]
    return " and ".join(sorted({reader.where["given"] for reader in readers})) or "not read"


if __name__ == "__main__":
    Path(__file__).with_name("matrix.md").write_text(render(), encoding="utf-8")
