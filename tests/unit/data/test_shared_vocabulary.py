"""Texts of an example that share a vocabulary."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from genwright.data.codec import ReadOptions
from genwright.data.dataset import Dataset, make_codec, prepare
from genwright.data.source import find
from genwright.errors import DataError, RecipeError
from genwright.experiment import Experiment
from genwright.recipe import make_recipe

TASK = {"task": "pair", "make": "summary", "given": "text", "family": "autoregressive", "size": "xs"}


@pytest.fixture
def lines(tmp_path: Path) -> Path:
    """What people are, and their names in capitals: the two sides have few letters in common."""
    file = tmp_path / "people.jsonl"
    rows = (
        {
            "text": f"{chr(97 + i % 26) * 3} is a baker of {i} years",
            "summary": f"{chr(65 + i % 26) * 3}-{i}",
        }
        for i in range(60)
    )
    file.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return file


def opened(path: Path, **options: Any) -> Dataset:
    source = find(path)
    return prepare(
        source, make_codec(source.codec, options), options, ReadOptions(("summary",), val=0.0, test=0.0)
    )


@pytest.mark.parametrize("unit", ["char", "bpe"])
def test_all_texts_are_spelled_alike_where_they_share(lines: Path, unit: str) -> None:
    pytest.importorskip("tokenizers")
    own = opened(lines, unit=unit, vocab=300).fields
    assert own["text"].vocabulary is None
    assert len({json.dumps(field.state()["alphabet"]) for field in own.values()}) == 2
    fields = opened(lines, unit=unit, vocab=300, shared=True).fields
    text, summary = fields["text"], fields["summary"]
    assert text.vocabulary is not None
    assert text.vocabulary == summary.vocabulary
    assert text.space.spans == summary.space.spans
    for words in ("aaa i", "ZZ-7"):
        for field in (text, summary):
            assert field.decode(field.encode([words]).astype(np.int64)) == [words]
        assert np.array_equal(text.encode([words])[0, 0, :6], summary.encode([words])[0, 0, :6])


def test_what_is_shared_may_be_copied_unless_a_person_says_no(lines: Path) -> None:
    def copied(*settings: str) -> list[str]:
        recipe = make_recipe(lines, steps=1, settings=["codec.unit=char", *settings], **TASK)  # type: ignore[arg-type]
        model = Experiment.of(recipe).model
        assert (model.family.pointer is not None) == bool(model.task.copied)  # type: ignore[attr-defined]
        return list(model.task.copied)  # type: ignore[attr-defined]

    assert copied() == []
    assert copied("codec.shared=true") == ["text"]
    assert copied("codec.shared=true", "task.copied=[]") == []
    with pytest.raises(RecipeError, match=r"codec\.shared=true"):
        copied('task.copied=["text"]')


def test_an_option_of_today_does_not_rename_the_data(lines: Path) -> None:
    assert opened(lines, unit="char").key == opened(lines, unit="char", shared=False).key
    assert opened(lines, unit="char").key != opened(lines, unit="char", shared=True).key


def test_a_shared_vocabulary_of_no_texts_is_an_error(tmp_path: Path) -> None:
    file = tmp_path / "empty.jsonl"
    file.write_text('{"text": "", "summary": ""}\n' * 9)
    with pytest.raises(DataError):
        opened(file, shared=True)
