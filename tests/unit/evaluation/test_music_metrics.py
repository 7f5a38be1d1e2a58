"""Metrics of music on pieces whose faults are known, and a likelihood by the name of its protocol."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from genwright.data.field import Unit
from genwright.data.music.piece import Piece
from genwright.errors import DataError
from genwright.evaluation.evidence import Evidence
from genwright.evaluation.metrics.likelihood import HeldoutLikelihood, likelihood_result
from genwright.evaluation.metrics.music import (
    KeyControl,
    MusicRepetition,
    OutOfKey,
    Parallels,
    PitchClasses,
    Rhythms,
    TransposedCopies,
    jensen_shannon,
)
from genwright.registry import build
from genwright.testing.worlds import WORLDS

WORLD = WORLDS["music"]


def about(pieces: list[Piece], key: str = "C major") -> Evidence:
    question = WORLD.question()
    return question.about(WORLD.sample([(piece, key) for piece in pieces]))


def tune(pitches: list[int], size: int = 2) -> Piece:
    return Piece.of([[size * i, size, pitch, 0] for i, pitch in enumerate(pitches)])


def real(n: int, by: int = 0) -> list[Piece]:
    train = [piece for piece, _ in WORLD.draw(2 * WORLD.n, 1)]
    made = [piece for piece in train if len(piece) > 24][:n]  # of fewer notes none is called a copy
    return [replace(piece, notes=piece.notes + np.array([0, 0, by, 0], np.int32)) for piece in made]


def test_training_in_another_key_is_a_copy_and_a_new_piece_is_none() -> None:
    metric = TransposedCopies()
    assert metric.read(about(real(20, by=3))).value == 1.0
    fresh = [piece for piece, _ in WORLD.draw(20, 77)]
    assert metric.read(about(fresh)).value == 0.0
    assert metric.read(about([tune([60, 62])] * 10)).value == 0.0


def test_what_a_transposition_leaves_is_left() -> None:
    for metric in (PitchClasses(), Rhythms()):
        question = about(real(200, by=4))
        assert metric.read(replace(question, test=about(real(200)).fake)).value < 0.01, metric.name


def test_shares_are_counted_by_piece() -> None:
    scale = [60, 62, 64, 65, 67, 69, 71, 72]
    assert OutOfKey().read(about([tune(scale)] * 5 + [tune([*scale, 66])] * 5)).value == pytest.approx(
        1 / 18
    )
    turning = tune([60, 64, 62, 65] * 6)
    assert MusicRepetition().read(about([turning] * 10)).value > 0.7
    assert MusicRepetition().read(about([tune([60, 61, 63, 66, 70, 75])] * 10)).value == 0
    fifths = Piece.of([[i, 1, 60 + i + 7 * up, up] for i in range(9) for up in (0, 1)])
    assert Parallels().read(about([fifths] * 10)).value == 1.0
    assert KeyControl().read(about([tune(scale)] * 6 + [tune([p + 2 for p in scale])] * 4)).value == 0.6


def test_a_melody_alone_has_no_parallels_and_without_a_key_none_is_met() -> None:
    alone = about([tune([60, 62, 64])] * 10)
    assert not Parallels().fits(replace(alone, test=alone.fake))
    assert Parallels().fits(WORLD.question())
    keyless = replace(alone, fake=replace(alone.fake, given={}))
    assert not KeyControl().fits(keyless)
    with pytest.raises(DataError, match="no key"):
        KeyControl().count(keyless, np.random.default_rng(0))


def test_equal_mixtures_are_nothing_apart_and_strange_ones_log_two() -> None:
    a, b = np.array([1.0, 3.0, 0.0]), np.array([0.0, 0.0, 2.0])
    assert jensen_shannon(a, 5 * a) == pytest.approx(0)
    assert jensen_shannon(a, b) == pytest.approx(np.log(2))


def test_nats_keep_the_name_of_their_protocol() -> None:
    unit = Unit("nats_per_frame_ordered_notes", "surprise at a frame", np.array([2.0, 4.0]))
    found = HeldoutLikelihood(
        np.array([10.0, 20.0]),
        {"marginals": np.array([12.0, 24.0])},
        unit.counts,
        unit.name,
        True,
        how=unit.how,
    )
    result = likelihood_result(found)
    assert result.metric == "nats_per_frame_ordered_notes"
    assert result.model is not None
    assert result.model.value == pytest.approx(5.0)
    assert result.how.startswith("surprise at a frame")
    assert build("metrics", "rhythms", {}, where="metric").reads == "music"
