"""Text that a model makes: only whole characters."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
import torch

from genwright.data.text import utf8
from genwright.data.text.tokenizer import BPE, CharTokenizer, Tokenizer
from genwright.families.autoregressive import Autoregressive
from genwright.nets.transformer import TransformerNets
from genwright.space import Space, Symbol

EDGES = [0x00, 0x41, 0x7F, 0x80, 0x8F, 0x90, 0x9F, 0xA0, 0xBF, 0xC0, 0xC1, 0xC2, 0xDF, 0xE0, 0xE1]
EDGES += [0xEC, 0xED, 0xEE, 0xEF, 0xF0, 0xF1, 0xF3, 0xF4, 0xF5, 0xFF]


def is_text(piece: bytes) -> bool:
    try:
        piece.decode()
    except UnicodeDecodeError:
        return False
    return True


def test_the_automaton_takes_what_python_takes() -> None:
    for length in (1, 2, 3):
        pieces = [bytes(some) for some in itertools.product(EDGES, repeat=length)]
        pieces += [bytes([lead, *piece]) for piece in pieces for lead in (0xF0, 0xF1, 0xF4)]
        taken = utf8.after(pieces)[utf8.START] == utf8.START
        assert taken.tolist() == list(map(is_text, pieces))


def spelled(tokenizer: Tokenizer, ids: list[int]) -> bytes:
    """The bytes of ids, whole or not."""
    if isinstance(tokenizer, BPE):
        return b"".join(tokenizer._pieces[i - 1] for i in ids if i)
    found, high = b"", None
    for i in ids:
        if 1 <= i <= 16:
            found, high = (found, i) if high is None else (found + bytes([16 * high + i - 17]), None)
        else:
            assert high is None, "half a byte"
            found += tokenizer.decode(np.array([i])).encode()
    assert high is None, "half a byte"
    return found


@pytest.mark.parametrize("length", [1, 2, 3, 9])
@pytest.mark.parametrize("pad", [None, 0])
@pytest.mark.parametrize("kind", ["char", "bpe"])
def test_an_autoregressive_model_makes_whole_characters(kind: str, pad: int | None, length: int) -> None:
    if kind == "bpe":
        pytest.importorskip("tokenizers")
    tokenizer = CharTokenizer("ab") if kind == "char" else BPE.train(["zwölf 漢字 🙂"], 270)
    torch.manual_seed(0)
    space = Space((length,), (Symbol(tokenizer.size, pad=pad),))
    family = Autoregressive(space, {}, TransformerNets("xs"))  # indifferent: every id is as likely
    family.grammar = tokenizer.grammar
    made = family.sample(200, seed=0)[:, 0].tolist()
    assert all(map(is_text, (spelled(tokenizer, ids) for ids in made)))
    family.grammar = None
    if length > 1 or kind == "bpe":
        others = family.sample(200, seed=0)[:, 0].tolist()
        with pytest.raises(AssertionError):
            assert all(map(is_text, (spelled(tokenizer, ids) for ids in others)))
    if length == 9:
        family.grammar = tokenizer.grammar
        prefix = tokenizer.encode("é").tolist()
        made = family.sample(50, seed=0, prefix=prefix)[:, 0].tolist()
        assert all(spelled(tokenizer, ids).decode().startswith("é") for ids in made)


def test_no_family_shows_half_a_character() -> None:
    pieces = BPE.train(["zwölf 漢字"], 257)
    ids = pieces.encode("a漢é")
    assert pieces.decode(ids[:-1]) == "a漢"
    assert pieces.decode(np.delete(ids, 2)) == "aé"
