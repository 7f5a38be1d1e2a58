"""Any text, to ids and back, exactly."""

import json
import sys

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from genwright.data.text import tokenizer as alphabets
from genwright.data.text.field import restore_tokenizer
from genwright.data.text.tokenizer import BPE, FIRST, CharTokenizer, bpe_installed, cut, repair
from genwright.data.text.words import CAPITAL, CAPITALS, JOINED, WordPieces
from genwright.errors import GenwrightError, RecipeError

TRAIN = "The quick brown fox jumps over the lazy dog.\n  It's 42 times, isn't it?\n\n\n\nGrüße.\n" * 20
HARD = [
    "",
    "你好，世界。",
    "👩‍👩‍👧‍👦 family, 🇨🇭 flag, 👍🏽 thumb",  # joined by ZWJ, by pairs, by a modifier
    "e\u0301 is not \u00e9, and \ufb01 is not fi",  # normalisation would change these
    "\r\n\r \t\n \x0b\x0c\x1c\x85\u2028\u3000 x",
    "  two before,  two between, two behind  ",
    "\x01\x7f\x80\x9f\ufeff\uffff\U0010ffff",
    "<unk> [PAD] <|endoftext|>",
]


PIECES = [
    "(",
    "你",
    "ﬁ",
    *"abcdefghijklmnopqrstuvwxyz42",
    *(f"##{c}" for c in "abcdefghijklmnopqrstuvwxyz4"),
    "the",
    "##ox",
]


@pytest.fixture(scope="module", params=["char", "bpe", "words"])
def alphabet(request):
    if request.param == "words":
        return WordPieces(PIECES)
    counts = alphabets.count(TRAIN)
    return CharTokenizer.of(counts) if request.param == "char" else BPE.train([TRAIN], 400)


@pytest.mark.parametrize("text", HARD)
def test_hard_texts_come_back(alphabet, text):
    ids = alphabet.encode(text)
    assert alphabet.decode(ids) == text
    assert ids.dtype == np.uint16
    assert np.all((ids > 0) & (ids < alphabet.size))


@settings(max_examples=200, deadline=None)
@given(st.text(st.characters(exclude_categories=("Cs",))))
def test_every_text_comes_back(alphabet, text):
    assert alphabet.decode(alphabet.encode(text)) == text


@settings(max_examples=200, deadline=None)
@given(st.text("ab'1.é好 \n\t\r\x1c\u3000", min_size=1, max_size=60))
def test_a_cut_does_not_show_in_the_ids(alphabet, text):
    at = cut(text)
    assert 0 < at <= len(text)
    halves = [alphabet.encode(text[:at]), alphabet.encode(text[at:])]
    assert alphabet.decode(np.concatenate(halves)) == text
    if alphabet.kind != "words":  # whose blank is said where a text begins with it
        assert np.array_equal(np.concatenate(halves), alphabet.encode(text))


def test_a_cut_is_before_the_last_space_of_a_run():
    assert cut("one  two\n\nthree") == len("one  two\n")
    assert cut("onetwo") == len("onetwo")
    assert cut(" one") == len(" one"), "a cut leaves something on its left"


def test_lines_encoded_apart_are_the_text_encoded_whole():
    """The fast path of BPE against the library called on everything at once."""
    bpe = BPE.train([TRAIN], 400)
    for text in [TRAIN, *HARD, "a\n\n\n b\n \nc\n"]:
        assert (bpe.encode(text) - 1).tolist() == bpe._tokenizer.encode(text).ids


def test_a_lone_surrogate_becomes_the_replacement_character(alphabet):
    text = "a\ud800b\udfffc"
    assert repair(text) == "a\ufffdb\ufffdc"
    assert alphabet.decode(alphabet.encode(text)) == "a\ufffdb\ufffdc"
    assert "\ufffd" not in CharTokenizer("ab\ud800").characters[:-1]


def test_state_through_json(alphabet):
    again = restore_tokenizer(json.loads(json.dumps(alphabet.state())))
    assert type(again) is type(alphabet)
    assert again.size == alphabet.size
    for text in [TRAIN, *HARD]:
        assert np.array_equal(again.encode(text), alphabet.encode(text))


@settings(max_examples=200, deadline=None)
@given(st.data())
def test_whatever_a_model_makes_is_some_text(alphabet, data):
    ids = data.draw(st.lists(st.integers(0, alphabet.size - 1) | st.integers(0, FIRST)))
    alphabet.decode(np.array(ids, np.int64)).encode()


def test_ids_of_characters():
    alphabet = CharTokenizer("cab")
    assert alphabet.size == 1 + 16 + 3
    assert alphabet.encode("abc").tolist() == [17, 18, 19]
    # U+00E9 is C3 A9 in UTF-8: nibbles C, 3, A, 9, each one higher as an id.
    assert alphabet.encode("aéb").tolist() == [17, 0xC + 1, 0x3 + 1, 0xA + 1, 0x9 + 1, 18]
    assert len(alphabet.encode("zé好👍")) == 2 * (1 + 2 + 3 + 4)


def test_broken_nibbles_are_left_out():
    alphabet = CharTokenizer("ab")
    e = alphabet.encode("é").tolist()
    a = alphabet.encode("a").tolist()
    assert alphabet.decode(np.array(a + e[:3] + a)) == "aa"
    assert alphabet.decode(np.array(a + e[:1] + a)) == "aa"
    assert alphabet.decode(np.array(e[2:] + a + e)) == "aé"


def test_zero_adds_no_text(alphabet):
    ids = alphabet.encode("quick")
    assert alphabet.decode(np.concatenate([[0], ids, [0, 0]])) == "quick"


def test_many_characters_need_wider_ids():
    alphabet = CharTokenizer("".join(map(chr, [*range(0xD800), *range(0x20000, 0x24000)])))
    assert alphabet.size > 1 << 16
    assert alphabet.dtype == np.uint32
    assert alphabet.decode(alphabet.encode("a好\U00023fff")) == "a好\U00023fff"


def test_bpe_training_is_deterministic_and_learns_pieces():
    texts = [f"word{i % 7} other{i % 5} 你好{i % 3}\n" for i in range(500)]
    first, second = BPE.train(texts, 320), BPE.train(iter(texts), 320)
    assert first.state() == second.state()
    assert BPE.least < first.size < 320, "these texts are too small for more"
    assert BPE.train([TRAIN], 280).size == 280
    assert len(first.encode("word1 other2")) < 8


def test_bpe_of_no_text_still_has_all_bytes():
    bpe = BPE.train([], 4096)
    assert bpe.size == BPE.least
    assert bpe.decode(bpe.encode("你好")) == "你好"


def test_bpe_wants_room_for_all_bytes():
    with pytest.raises(RecipeError, match="257 in all, got 256"):
        BPE.train(["a"], 256)


def test_bpe_without_its_library(monkeypatch):
    monkeypatch.setitem(sys.modules, "tokenizers", None)
    assert not bpe_installed()
    with pytest.raises(GenwrightError, match=r"pip install 'genwright\[text\]'"):
        BPE.train(["a"], 300)


@pytest.mark.parametrize(
    ("text", "spelled"),
    [
        ("the fox", ["the", "f", "##ox"]),
        ("The FOX", [CAPITAL, "the", CAPITALS, "f", "##ox"]),
        ("(the)the", ["(", "the", b")", JOINED, "the"]),
        (" the\nthe", [b" ", "the", b"\n", "the"]),
        ("the42", ["the", b"4", b"2"]),
    ],
    ids=str,
)
def test_known_words_are_found(text, spelled):
    """The longest from the left, with a blank before each where one usually stands. What cannot go on is spelled whole:
    `42` is no piece, and no `2` goes on with one."""
    words = WordPieces([p for p in PIECES if p != "2"])
    found = [
        words.pieces[i - 260] if i >= 260 else bytes([i - 1]) if i < JOINED else i
        for i in words.encode(text)
    ]
    assert found == spelled


def test_a_word_of_any_length_is_spelled_soon():
    """Such as a gene: no piece is looked for that is longer than all."""
    gene = "acgt" * 50_000
    words = WordPieces(PIECES)
    assert words.decode(words.encode(gene)) == gene
