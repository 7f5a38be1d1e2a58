"""Levels of a game: text files of tiles, all of one size, a character a tile."""

import numpy as np

from genwright.data.codec import AS_READ, Codec, Preview, Rejected, Rows
from genwright.data.field import Field
from genwright.space import Space, Symbol


class LevelField(Field):
    """Levels, each a text with a line a row, to numbers of tiles `(H, W)`; the alphabet is learnt."""

    kind, suffix, alphabet, size = "level", ".txt", "", (0, 0)

    def fit(self, values):
        self.alphabet = "".join(sorted({*self.alphabet, *"".join(values)} - {"\n"}))
        self.size = shape(values[0])

    @property
    def space(self):
        return Space(self.size, (Symbol(len(self.alphabet)),))

    def encode(self, values):
        rows = [[[self.alphabet.index(tile) for tile in row] for row in v.split("\n")] for v in values]
        return np.array(rows, np.uint8).reshape(-1, 1, *self.size)

    def decode(self, x, parts=None):
        return ["\n".join("".join(self.alphabet[tile] for tile in row) for row in one[0]) for one in x]

    def known(self, values):
        return [set(value) <= {*self.alphabet, "\n"} for value in values]

    def state(self):
        return {"alphabet": self.alphabet, "size": list(self.size)}

    def restore(self, state):
        self.alphabet, self.size = state["alphabet"], tuple(state["size"])


class LevelCodec(Codec):
    """Folders of levels."""

    reads, main, sheet, field_types = (".txt",), "level", "levels.txt", (LevelField,)
    default_family = "masked"

    @classmethod
    def sniff(cls, files):
        sizes = {shape(text(file)) for file in cls.own(files)}
        return 0.9 if super().sniff(files) and len(sizes) == 1 and None not in sizes else 0.0

    def fields(self, source, options=AS_READ):
        return {"level": LevelField()}

    def read(self, source, fields, options=AS_READ):
        size = next(filter(None, (shape(text(file)) for file in source.files)), None)
        for file in source.files:
            good, level = shape(text(file)) == size, text(file)
            rejected = [] if good else [Rejected(file.name, f"it is no level of {size} tiles")]
            yield Rows({"level": [level] * good}, [level.encode().hex()] * good, rejected=rejected)

    def write(self, values, fields, folder, *, columns=None):
        folder.mkdir(parents=True, exist_ok=True)
        named = {"levels.txt": "\n\n".join(values["level"])}
        named |= {f"{i:05d}.txt": level for i, level in enumerate(values["level"])}
        return [folder / name for name, level in named.items() if (folder / name).write_text(level)]

    def preview(self, values, fields, *, columns=None):
        return Preview("text", text="\n\n".join(values["level"][:5]))


def text(file):
    return file.read_text(encoding="utf-8", errors="replace").rstrip("\n")


def shape(level):
    """Rows and columns, None where it is no level."""
    wide = set(map(len, level.split("\n")))
    return (level.count("\n") + 1, *wide) if "\n" in level and len(wide) == 1 and wide != {0} else None
