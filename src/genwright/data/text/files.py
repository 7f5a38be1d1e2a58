"""Files of text to documents, and what is wrong with them. Never more than one document is held.

.txt .md          a document
.jsonl            a document a line: its fields are texts and labels; `messages` (TRL) and `conversations`
                  (ShareGPT) become a `prompt` and a `completion` for each answer, and so do
                  `instruction`, `input` and `output` (Alpaca)
.csv .tsv         a document a line: its columns
.arrow            a document a row, as of .jsonl
x.en + x.es       a document a line (Moses): the same line of both files
"""

from __future__ import annotations

import codecs
import csv
import json
import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import islice, zip_longest
from pathlib import Path
from typing import Any

from genwright.data.arrow import ARROW, length, objects
from genwright.data.codec import Rejected, Source
from genwright.data.encodings import encodings
from genwright.data.packed import BROKEN, GAIN, bare, is_packed, open_text, open_unpacked, suffix, tail
from genwright.data.sidecar import ENOUGH, SENTENCE, looks_like_text
from genwright.data.text.tokenizer import cut, repair
from genwright.data.text.turns import ANSWERS, in_turns, turn_of
from genwright.errors import DataError, suggest

__all__ = [
    "BLOCK",
    "SCALAR",
    "Document",
    "TextFileInfo",
    "TextFiles",
    "is_aligned",
    "language",
    "sure",
]

BLOCK = 1 << 20  # characters read at once
PROBE = 1000  # lines searched for fields
SCALAR = (str, int, float, bool)
TEXT = "text"
PROMPT, COMPLETION = "prompt", "completion"
SIDES = ("source", "target")
QUESTIONS = ((PROMPT, COMPLETION), SIDES, ("question", "answer"))
"""Names of texts of which one answers the other."""
TEXTS = frozenset(
    {PROMPT, COMPLETION, *SIDES, TEXT, "caption", "summary", "question", "answer", "translation"}
)
"""Columns that are texts by their name; `source` and `target` where both are there: alone each is often a label."""
INSTRUCTIONS = (("instruction", "input", "output"), ("instruction", "context", "response"))
"""Keys of what is asked for, of what that is about, which may be empty or missing, and of the answer, as the data of
Alpaca and of Dolly have them."""
TURNS = ("messages", "conversations")
_LANGUAGES = (
    "aa ab ae af ak am an ar as av ay az ba be bg bh bi bm bn bo br bs ca ce ch co cr cs cu cv cy da de dv dz ee "
    "el en eo es et eu fa ff fi fj fo fr fy ga gd gl gn gu gv ha he hi ho hr ht hu hy hz ia id ie ig ii ik io is "
    "it iu ja jv ka kg ki kj kk kl km kn ko kr ks ku kv kw ky la lb lg li ln lo lt lu lv mg mh mi mk ml mn mr ms "
    "mt my na nb nd ne ng nl nn no nr nv ny oc oj om or os pa pi pl ps pt qu rm rn ro ru rw sa sc sd se sg si sk "
    "sl sm sn so sq sr ss st su sv sw ta te tg th ti tk tl tn to tr ts tt tw ty ug uk ur uz ve vi vo wa wo xh yi "
    "yo za zh zu src tgt"
)
LANGUAGES = frozenset(_LANGUAGES.split())
"""ISO 639-1, and what those write who do not say: behind the names of two files that are one text in two."""
BY_LINE = (".jsonl", ARROW, ".csv", ".tsv")
DELIMITERS = ",;\t|"

_CONTROL = re.compile("[\x00-\x08\x0b\x0e-\x1f\x7f-\x9f]")
_MARKS = {codecs.BOM_UTF8: "utf-8-sig", codecs.BOM_UTF16_LE: "utf-16", codecs.BOM_UTF16_BE: "utf-16"}
_NAME = re.compile(r"[^\W\d][\w-]{0,30}")


@dataclass(frozen=True)
class Document:
    """Where it stands, a name without a suffix, and its values by field: texts and labels."""

    name: str
    stem: str
    values: Mapping[str, Any]


@dataclass(frozen=True)
class TextFileInfo:
    """What one quick pass over a file tells. `blank`: nothing but white space."""

    encoding: str
    characters: int
    blank: bool


class TextFiles:
    """The files of a source.

    A .jsonl file has a document a line, in `field`; so have tables and pairs of Moses; any other file is one. What
    is packed (`.gz`, `.zst`) is unpacked on the way. The label of a file is its first folder below the root.
    """

    def __init__(self, source: Source, field: str, encoding: str | None) -> None:
        self.source, self.field, self.encoding = source, field, encoding
        self.guessed: dict[str, str] = {}
        """Encodings of files that are not UTF-8, where nobody says what they are, by their names, in order."""

    @property
    def single(self) -> bool:
        """Whether all is one document."""
        return len(self.source.files) == 1 and not _by_line(self.source.files[0])

    @property
    def conversing(self) -> bool:
        """Whether a line may hold several examples."""
        return any(map(_by_json, self.source.files))

    # -- fields --------------------------------------------------------------------------------

    @cached_property
    def moses(self) -> tuple[str, ...]:
        """The two languages of files that are the same lines in both."""
        if not is_aligned(self.source.files):
            return ()
        return tuple(dict.fromkeys(map(language, self.source.files)))

    @cached_property
    def first(self) -> list[dict[str, Any]]:
        """The values of the first lines."""
        files = [file for file in self.source.files if _by_line(file)][:1]
        lines = (line for file in files for line in islice(self._lines(file), PROBE))
        return [line[1] for line in lines if not isinstance(line, Rejected)]

    @cached_property
    def keys(self) -> tuple[list[str], list[str]]:
        """The keys of lines that hold texts, and those that hold labels."""
        values: dict[str, list[Any]] = {}
        for line in self.first:
            for key, value in line.items():
                if isinstance(value, SCALAR):
                    values.setdefault(key, []).append(value)
        named = TEXTS if {*SIDES} <= values.keys() else TEXTS - {*SIDES}
        table = any(_by_line(file) and not _by_json(file) for file in self.source.files[:1])
        if table and values.keys() <= LANGUAGES:
            named |= LANGUAGES

        def is_text(key: str, some: list[Any]) -> bool:
            if not all(isinstance(value, str) for value in some):
                return False
            if key == self.field or key in named:
                return True
            return _differ(some) if table else looks_like_text(some, long=SENTENCE)

        texts = [key for key, some in values.items() if is_text(key, some)]
        return texts, [key for key in values if key not in texts]

    @cached_property
    def key(self) -> str:
        """Which key of a line holds the main text: the one that is asked for, or else an answer."""
        texts, labels = self.keys
        if self.moses:
            return self.moses[0]
        if self.field in (*texts, *labels) or self.field != TEXT or not texts:
            return self.field
        return next((answers for _, answers in QUESTIONS if answers in texts), texts[0])

    @cached_property
    def main(self) -> str:
        """The name of the main field: `text` for what is asked for, else that of its key."""
        return self.key if self.moses or self.key != self.field else TEXT

    @property
    def texts(self) -> list[str]:
        """Further texts."""
        found = self.moses or self.keys[0]
        return [name for name in found if name not in (self.key, self.main)]

    def labels(self) -> list[str]:
        """Names of all fields beside the main one, from the folders and from the first lines."""
        names = ["label"] if any(self._folder(file) for file in self.source.files) else []
        if self.moses:
            return [*self.texts, *names]
        names += [key for line in self.first for key, value in line.items() if isinstance(value, SCALAR)]
        return [name for name in dict.fromkeys(names) if name not in (self.key, self.main)]

    # -- how much there is ---------------------------------------------------------------------

    @cached_property
    def size(self) -> int:
        """Bytes of all files, of packed ones about as they are unpacked."""
        return max(1, sum(_size(file) for file in self.source.files))

    def count(self) -> int:
        """About how many documents, or pieces of a single one; without reading more than the first lines."""
        if self.single:
            return -(-self.size // BLOCK)
        lines = [file for file in self.source.files if _by_line(file) or self.moses]
        sides = max(1, len(self.moses))
        return len(self.source.files) - len(lines) + sum(map(_lines_in, lines)) // sides

    # -- documents -----------------------------------------------------------------------------

    def documents(self, wanted: Sequence[str] = (), every: int = 1) -> Iterator[Document | Rejected]:
        """All documents, or those of each so many-th file, with the main text if that is `wanted`. Raises
        `DataError` at the end if no line of any file had it."""
        if self.moses:
            yield from self._aligned()
            return
        lines, hits, fields = 0, 0, set[str]()
        for file in self.source.files[::every]:
            folder = self._folder(file)
            labels = {"label": folder} if folder else {}
            stem = self._stem(file)
            if not _by_line(file):
                found = self.survey(file)
                if isinstance(found, TextFileInfo):
                    text = "".join(_blocks(file, found.encoding))
                    yield Document(self._name(file), stem, labels | {self.main: text})
                else:
                    yield found
                continue
            for number, line in enumerate(self._lines(file)):
                if isinstance(line, Rejected):
                    yield line
                    continue
                name, values = line
                lines, hits = lines + 1, hits + (self.key in values)
                fields.update(values)
                text = values.pop(self.key, None)
                if isinstance(text, str):
                    values[self.main] = text
                elif self.main in wanted:
                    yield Rejected(name, f"has no text in the field {self.key!r}")
                    continue
                for other in (self.main, *self.texts):
                    if isinstance(values.get(other), str):
                        values[other] = repair(values[other])
                yield Document(name, f"{stem}-{number}", labels | values)
        if lines and not hits and self.main in wanted:
            raise DataError(
                f"no line of {self.source.root} has the field {self.key!r} "
                f"(codec.field names the one that holds the text); {suggest(self.key, fields)}",
                code="no-such-field",
            )

    def _aligned(self) -> Iterator[Document | Rejected]:
        """The lines of the files of Moses. Raises `DataError` where two have not as many lines."""
        stems: dict[str, dict[str, Path]] = {}
        for file in self.source.files:
            stems.setdefault(self._stem(file), {})[language(file)] = file
        for stem, files in stems.items():
            if len(files) < 2:
                (there,) = files.values()
                (lacking,) = {*self.moses} - files.keys()
                yield Rejected(
                    self._name(there), f"there is no file in {lacking} beside it", orphan=True
                )
                continue
            pair = [files[language] for language in self.moses]
            folder = self._folder(pair[0])
            counts = [0, 0]
            for number, both in enumerate(zip_longest(*map(self._plain, pair)), 1):
                counts = [count + (one is not None) for count, one in zip(counts, both, strict=True)]
                wrong = next((one for one in both if isinstance(one, Rejected)), None)
                if wrong is not None:
                    yield wrong
                elif None not in both:
                    texts = dict(zip(self.moses, map(str, both), strict=True))
                    label = {"label": folder} if folder else {}
                    yield Document(f"{stem} line {number}", f"{stem}-{number - 1}", label | texts)
            if counts[0] != counts[1]:
                first, second = (
                    f"{self._name(file)} has {count:,}" for file, count in zip(pair, counts, strict=True)
                )
                raise DataError(
                    f"{first} lines and {second}, so that it cannot be said which belong together: mend the one "
                    f"that lost some",
                    code="line-counts-differ",
                )

    def _plain(self, file: Path) -> Iterator[str | Rejected]:
        """The lines of a text."""
        name = self._name(file)
        try:
            encoding = _mark(file) or self.encoding or "utf-8"
            with open_text(file, encoding, errors="surrogateescape", newline="\n") as lines:
                for number, line in enumerate(lines, 1):
                    try:
                        line.encode()
                    except UnicodeError:
                        yield Rejected(f"{name} line {number}", f"is not {encoding}")
                    else:
                        yield line.rstrip("\r\n")
        except (*BROKEN, UnicodeError) as error:
            raise DataError(f"{file} cannot be read: {error}", code="unreadable-file") from None

    def pieces(self, file: Path, survey: TextFileInfo) -> Iterator[str]:
        """A file in pieces of about `BLOCK` characters whose ids are the ids of the whole."""
        rest = ""
        for block in _blocks(file, survey.encoding):
            if rest:
                end = cut(rest)
                yield rest[:end]
                rest = rest[end:]
            rest += block
        yield rest

    def survey(self, file: Path) -> TextFileInfo | Rejected:
        """How a file is encoded and how many characters it has, or why it is no text."""
        name = self._name(file)
        try:
            stated = _mark(file) or self.encoding
            for encoding in [stated] if stated else encodings(file):
                old = not stated and not encoding.startswith("utf")
                characters, control, blank = 0, 0, True
                try:
                    for block in _blocks(file, encoding):
                        if "\0" in block:
                            return Rejected(
                                name, "is binary: it holds NUL bytes (UTF-16? set codec.encoding)"
                            )
                        characters += len(block)
                        control += len(_CONTROL.findall(block)) if old else 0
                        blank = blank and not block.strip()
                except UnicodeError:
                    continue
                if old:
                    # Any byte is some letter of these; only few control characters speak for text.
                    if control > 0.02 * characters:
                        return Rejected(
                            name, "is binary, or in an encoding that codec.encoding should name"
                        )
                    self.guessed[name] = encoding
                return TextFileInfo(encoding, characters, blank)
            return Rejected(name, f"is not {stated} throughout; codec.encoding should name what it is")
        except BROKEN as error:
            return Rejected(name, f"cannot be read: {error}")

    def _lines(self, file: Path) -> Iterator[tuple[str, dict[str, Any]] | Rejected]:
        """The objects of a .jsonl file, or the rows of a table, and the names of their lines; blank lines are
        skipped."""
        name = self._name(file)
        if file.suffix == ARROW:
            for number, values in enumerate(objects(file)):
                yield from _turned(f"{name} row {number}", self._asked(values))
            return
        if not _by_json(file):
            try:
                table = _Table.of(file, self.encoding)
            except (*BROKEN, UnicodeError) as error:
                yield Rejected(name, f"cannot be read: {error}")
            else:
                yield from table.rows(name)
            return
        try:
            encoding = _mark(file) or self.encoding or "utf-8"
            # A wrong byte spoils its line and not the file, so it is let through and looked for.
            with open_text(file, encoding, errors="surrogateescape", newline="\n") as lines:
                for number, line in enumerate(lines, 1):
                    if "\0" in line:
                        yield Rejected(name, "is binary: it holds NUL bytes")
                        return
                    if line.strip():
                        found = _object(f"{name} line {number}", line, encoding)
                        if isinstance(found, Rejected):
                            yield found
                        else:
                            yield from _turned(found[0], self._asked(found[1]))
        except (*BROKEN, UnicodeError) as error:
            yield Rejected(name, f"cannot be read: {error}")

    def _asked(self, values: dict[str, Any]) -> dict[str, Any]:
        """The values of a line, where an instruction has become a prompt, unless one of its texts is asked for."""
        for asked, about, answer in INSTRUCTIONS if self.field == TEXT else ():
            if isinstance(values.get(asked), str) and isinstance(values.get(answer), str):
                parts = [values[asked], values.get(about)]
                rest = {key: value for key, value in values.items() if key not in (asked, about, answer)}
                prompt = "\n\n".join(part for part in parts if isinstance(part, str) and part)
                return {PROMPT: prompt, COMPLETION: values[answer]} | rest
        return values

    def _name(self, file: Path) -> str:
        """What a person knows a file by."""
        root = self.source.root
        return file.relative_to(root).as_posix() if root in file.parents else file.name

    def _stem(self, file: Path) -> str:
        """Its name without the suffix."""
        name = self._name(file)
        return name[: len(name) - len(tail(file))]

    def _folder(self, file: Path) -> str | None:
        """The first folder below the root, if there is one."""
        first, _, rest = self._name(file).partition("/")
        return first if rest else None


def _by_line(file: Path) -> bool:
    return bare(file).endswith(BY_LINE)


def _size(file: Path) -> int:
    try:
        return file.stat().st_size * (GAIN if is_packed(file) else 1)
    except OSError:  # it is opened again, and told of
        return 0


def _lines_in(file: Path) -> int:
    """About how many lines a file has, by its size and its beginning."""
    if file.suffix == ARROW:
        return length(file)
    try:
        with open_unpacked(file) as raw:
            head = raw.read(1 << 16)
    except BROKEN:
        return 0
    return max(1, round(_size(file) / max(1, len(head)) * head.count(b"\n")))


def _by_json(file: Path) -> bool:
    return bare(file).endswith(BY_LINE[:2])


def language(file: Path) -> str:
    """What a name ends with: `en` of `x.en` and of `x.en.gz`, "" where that is no language."""
    tail = Path(bare(file)).suffix.removeprefix(".")
    return tail if tail in LANGUAGES else ""


def is_aligned(files: Sequence[Path]) -> bool:
    """Whether files are the same lines in two languages, as Moses has them: some stem is there in both."""
    stems: dict[str, set[str]] = {}
    for file in files:
        stem = str(file).removesuffix(suffix(file))
        stems.setdefault(stem, set()).add(language(file))
    languages = set().union(*stems.values())
    return len(languages) == 2 and "" not in languages and languages in stems.values()


def _blocks(file: Path, encoding: str) -> Iterator[str]:
    with open_text(file, encoding) as text:
        while block := text.read(BLOCK):
            yield repair(block)  # utf-7 and the like can make half a pair


def _mark(file: Path) -> str | None:
    """The encoding that a byte order mark tells."""
    with open_unpacked(file) as raw:
        head = raw.read(3)
    return next((encoding for mark, encoding in _MARKS.items() if head.startswith(mark)), None)


def _object(name: str, line: str, encoding: str) -> tuple[str, dict[str, Any]] | Rejected:
    try:
        line.encode()
    except UnicodeError:
        return Rejected(name, f"is not {encoding}")
    try:
        values = json.loads(line.strip())
    except (ValueError, RecursionError) as error:
        return Rejected(name, f"is not JSON: {error}")
    if not isinstance(values, dict):
        return Rejected(name, 'is not an object like {"text": "..."}')
    return name, values


# -- conversations ---------------------------------------------------------------------------------


def _turned(name: str, values: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any]] | Rejected]:
    """The values of a line, where turns of a conversation have become prompts and completions: each answer, and all
    that came before it. So every answer is learnt once, and what others say is only read.

    Turns of a prompt are all read, whoever says them, since the completion is a text of its own.
    """
    keys = [key for key in TURNS if _listed(values.get(key))][:1]
    keys = keys or [key for key in (PROMPT, COMPLETION) if _listed(values.get(key))]
    if not keys:
        yield name, values
        return
    said = [turn_of(turn) for key in keys for turn in values.pop(key)]
    whole = [turn for turn in said if turn is not None]
    answers = [i for i, (role, _) in enumerate(whole) if role == ANSWERS]
    if len(whole) < len(said):
        yield Rejected(name, 'has a turn that is not like {"role": "user", "content": "..."}')
    elif keys == [PROMPT]:
        yield name, values | {PROMPT: in_turns(whole)}
    elif not answers:
        yield Rejected(name, f"has no turn of the {ANSWERS}")
    else:
        # A greeting before anybody asks answers nothing, and is read with the rest.
        asked = [i for i in answers if i > 0] or answers
        for i in asked if keys[0] in TURNS else asked[-1:]:
            yield name, {PROMPT: in_turns(whole[:i]), COMPLETION: whole[i][1]} | values


def _listed(value: Any) -> bool:
    return isinstance(value, list) and any(isinstance(one, dict) for one in value)


# -- tables of texts -------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Table:
    """A .csv or .tsv of texts, and how its lines are to be read. `head`: whether the first names the columns."""

    file: Path
    encoding: str
    delimiter: str
    quoting: Any
    columns: tuple[str, ...]
    head: bool

    @classmethod
    def of(cls, file: Path, encoding: str | None) -> _Table:
        """Raises `DataError` for more than two columns without names."""
        stated = _mark(file) or encoding or "utf-8"
        with open_text(file, stated, errors="surrogateescape") as lines:
            some = list(islice(lines, PROBE))
        tabs = ".tsv" in suffix(file)
        delimiter = "\t" if tabs else max(DELIMITERS, key=lambda one: _agreeing(some, one))
        # Sentences of translators hold quotes that nothing closes: they are then no marks of the format.
        odd = tabs and any(cell.count('"') % 2 for line in some for cell in line.split(delimiter))
        quoting: Any = csv.QUOTE_NONE if odd else csv.QUOTE_MINIMAL
        try:
            rows = [row for row in csv.reader(some, delimiter=delimiter, quoting=quoting) if row]
        except csv.Error:
            rows = []  # it is read again, and told of
        head = _is_head(rows)
        if not rows:
            columns: tuple[str, ...] = SIDES
        elif head:
            columns = tuple(cell.strip() for cell in rows[0])
        elif (width := Counter(map(len, rows)).most_common(1)[0][0]) == 2:
            columns = SIDES
        else:
            raise DataError(
                f"{file} has {width} columns and no line that names them: put their names into the first line",
                code="no-header",
            )
        return cls(file, stated, delimiter, quoting, columns, head)

    def rows(self, name: str) -> Iterator[tuple[str, dict[str, Any]] | Rejected]:
        """The rows by column, and the names of their lines."""
        try:
            with open_text(self.file, self.encoding, errors="surrogateescape") as stream:
                lines = csv.reader(stream, delimiter=self.delimiter, quoting=self.quoting)
                for i, row in enumerate(lines):
                    where = f"{name} line {lines.line_num}"
                    whole = "".join(row)
                    if "\0" in whole:
                        yield Rejected(name, "is binary: it holds NUL bytes")
                        return
                    if not row or (i == 0 and self.head):
                        continue
                    try:
                        whole.encode()
                    except UnicodeError:
                        yield Rejected(where, f"is not {self.encoding}")
                        continue
                    if len(row) == len(self.columns):
                        yield where, dict(zip(self.columns, row, strict=True))
                    else:
                        yield Rejected(
                            where, f"has {len(row)} columns, and there are {len(self.columns)}"
                        )
        except (*BROKEN, UnicodeError, csv.Error) as error:
            yield Rejected(name, f"cannot be read: {error}")


def _agreeing(lines: Sequence[str], delimiter: str) -> int:
    """How many rows have the commonest number of columns, more than one, with this between them."""
    try:
        widths = Counter(len(row) for row in csv.reader(lines, delimiter=delimiter) if row)
    except csv.Error:
        return 0
    return max((count for width, count in widths.items() if width > 1), default=0)


def _differ(values: Sequence[str]) -> bool:
    """Whether texts hardly repeat and are no numbers."""
    return len(set(values)) >= 0.9 * len(values) and not all(map(_is_number, values))


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def _is_head(rows: Sequence[Sequence[str]]) -> bool:
    """Whether the first row names the columns: by names that are known, or by cells that look like names, never
    come again, and stand above others that do not look so."""
    if not rows or len({*rows[0]}) < len(rows[0]):
        return False
    first = [cell.strip() for cell in rows[0]]
    if not all(_NAME.fullmatch(cell) for cell in first):
        return False
    if {*first} <= LANGUAGES or {cell.lower() for cell in first} & TEXTS:
        return True
    columns = [[row[i] for row in rows[1:] if len(row) == len(first)] for i in range(len(first))]
    again = any(cell in column for cell, column in zip(first, columns, strict=True))
    cells = [cell for column in columns for cell in column]
    return bool(cells) and not again and 2 * sum(map(bool, map(_NAME.fullmatch, cells))) < len(cells)


# -- what they are ---------------------------------------------------------------------------------


def _varied(values: Sequence[Any]) -> bool:
    """Whether values hardly repeat."""
    return len(values) > 1 and 2 * len({*values}) > len(values)


def _lettered(values: Sequence[Any]) -> bool:
    """Whether most values hold a letter."""
    return 2 * sum(any(c.isalpha() for c in str(value)) for value in values) > len(values)


def sure(file: Path) -> float:
    """How sure it is that a file of lines holds texts, where its suffix does not say so."""
    found = TextFiles(Source(file, (file,), TEXT, TEXT), TEXT, None)
    try:
        if not _by_json(file) and any(len(line) > 2 for line in found.first):
            return 0.0
        texts, labels = found.keys
        if _by_json(file):
            return 0.7 if TEXT in texts or sum(key in TEXTS for key in texts) > 1 else 0.3
        if labels or len(texts) != 2:
            return 0.0
        head = _Table.of(file, None).head
        named = head and ({*texts} <= TEXTS or {*texts} <= LANGUAGES)
        columns = [[line.get(key) for line in found.first] for key in texts]
        if named:  # one side may be of numbers, such as dates
            return 0.7 if all(map(_varied, columns)) and any(map(_lettered, columns)) else 0.0
        return 0.7 if all(looks_like_text(column, least=ENOUGH) for column in columns) else 0.0
    except (*BROKEN, UnicodeError, DataError):
        return 0.0
