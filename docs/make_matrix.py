"""Writes `docs/matrix.md`: what `genwright.planning` says of every family on typical spaces."""

from __future__ import annotations

from pathlib import Path

from genwright.planning import verdicts
from genwright.registry import names
from genwright.space import Real, Space, Symbol

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

HEAD = """\
# Which family takes which data

Written by `docs/make_matrix.py` from the function that `genwright plan` asks; a test keeps it up to
date. **native**: as it is. **bridged**: through a two-way change of the data, named behind it (see
[planning.md](planning.md)). **refused**: not at all, for the reason below the table.

Not every kind of data listed here has a codec that reads it yet; the README says which do.
"""


def render() -> str:
    families = names("families")
    notes: list[str] = []
    lines = [HEAD, f"| data | {' | '.join(families)} |", "|---" * (len(families) + 1) + "|"]
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
    reasons = [f"{i}. {note}" for i, note in enumerate(notes, 1)]
    return "\n".join([*lines, "", "Refused:", "", *reasons]) + "\n"


if __name__ == "__main__":
    Path(__file__).with_name("matrix.md").write_text(render(), encoding="utf-8")
