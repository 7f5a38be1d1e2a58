"""A model that is given something is asked in pairs: its answers beside the right ones and beside trivial ones."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

import genwright
from genwright.batch import Batch
from genwright.data.codec import Preview
from genwright.evaluation import inputs, runner
from genwright.evaluation.galleries import galleries
from genwright.evaluation.inputs import EvaluationInput
from genwright.evaluation.metric import Measurement, OfPairs
from genwright.evaluation.results import Claim, MetricResult

SIZE = ("train.checks=1", "train.samples=2")


def judged(
    data: Any, out: Path, family: str, *settings: str, **choices: Any
) -> tuple[dict[str, MetricResult], EvaluationInput, list[Claim]]:
    """What the metrics of answers find of a model of a few steps."""
    choices |= {"settings": [*SIZE, *settings], "size": "xs", "steps": 3, "out": out}
    model = genwright.train(data, family=family, **choices)
    of = inputs.of_run(model, 60, 0, extractor="pca")
    asked = [metric for metric in runner.metrics(of.evidence) if isinstance(metric, OfPairs)]
    found = runner.results(of.evidence, {}, asked, 0)
    return {one.metric: one for one in found}, of, runner.claims(found)


def answers(of: EvaluationInput) -> list[tuple[str, Preview]]:
    """What is shown of questions and answers, in the order of the page."""
    first = galleries(of.evidence, 0)[0]
    assert first.title == "What was made of what"
    return list(first.rows)


def sheet_size(shown: Preview) -> tuple[int, int]:
    assert shown.kind == "png"
    return Image.open(io.BytesIO(shown.png)).size


def blobs(folder: Path, n: int = 200) -> Path:
    folder.mkdir()
    rng, (y, x) = np.random.default_rng(0), np.mgrid[:16, :16]
    for i in range(n):
        far = ((np.stack([y, x], -1) - rng.uniform(3, 12, 2)) ** 2).sum(-1)
        Image.fromarray((255 * np.exp(-far / 9)).astype(np.uint8)).save(folder / f"{i:03d}.png")
    return folder


def rows(path: Path, n: int = 300) -> Path:
    rng = np.random.default_rng(0)
    x = rng.normal(size=n)
    y = 2 * x + 0.3 * rng.normal(size=n)
    lines = [f"{a:.3f},{b:.3f},{'high' if b > 0 else 'low'}" for a, b in zip(x, y, strict=True)]
    path.write_text("\n".join(["x,y,level", *lines]) + "\n")
    return path


def test_a_restored_picture_stands_beside_its_source_and_the_right_one(tmp_path: Path) -> None:
    found, of, claims = judged(
        blobs(tmp_path / "data"), tmp_path / "run", "vae", "task.name=restore", "data.test=0.3"
    )
    given, made, right = answers(of)
    assert (given[0], made[0], right[0]) == ("given: image", "made of it", "right answer")
    assert len({sheet_size(shown)[0] for _, shown in (made, right)}) == 1  # one above the other
    assert sheet_size(given[1])[0] / sheet_size(given[1])[1] > 10  # in one line
    assert (
        right[1]
        == of.evidence.pairs.true.codec.preview(  # type: ignore[union-attr]
            {"image": of.evidence.pairs.true.raw[:12]},
            {"image": of.bench.field},
            columns=12,  # type: ignore[union-attr]
        )
    )
    assert set(found) == {
        *("psnr", "ssim", "feature_distance", "retrieval_rank", "crps", "interval_coverage")
    }
    for one in found.values():
        assert set(one.baselines) == {"source", "constant", "nearest", "shuffled"}, one
        assert one.model is not None
        assert one.validated
    # What is twice as coarse and brought back is near the right one, another picture is not.
    source, shuffled = (found["psnr"].baselines[name].value for name in ("source", "shuffled"))
    assert source > 30 > shuffled
    assert found["psnr"].lead is not None
    assert found["psnr"].lead.high < 0  # of a model of three steps
    assert found["retrieval_rank"].baselines["source"].value < 0.02
    (claim,) = [one for one in claims if one.question != "Is what is given heeded?"]
    assert claim.outcome != "supported"


def test_numbers_in_a_text_that_were_hidden_are_judged_as_numbers(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    age, more = rng.integers(20, 90, (2, 300))
    lines = [
        f"{x},{x + y / 10:.1f},{2 * x - y / 10:.1f},{x + 60 + y // 9}/{x // 2 + 40}"
        for x, y in zip(age, more, strict=True)
    ]
    path = tmp_path / "rows.csv"
    path.write_text("\n".join(["age,weight,dose,bp", *lines]) + "\n")
    found, _, _ = judged(path, tmp_path / "run", "masked", "task.name=complete", "data.test=0.3")
    assert "cell_accuracy" not in found
    error = found["cell_rmse"].baselines
    assert error["nearest"].value < error["constant"].value
    assert 0.6 < error["constant"].value < 1.4


def test_a_completed_row_is_judged_by_the_cells_that_were_hidden(tmp_path: Path) -> None:
    found, of, _ = judged(
        rows(tmp_path / "rows.csv"), tmp_path / "run", "masked", "task.name=complete", "data.test=0.3"
    )
    assert {"cell_accuracy", "cell_rmse"} <= set(found)
    assert not {"retrieval_rank", "psnr", "cer"} & set(found)
    error = found["cell_rmse"].baselines
    assert set(error) == {"constant", "nearest", "shuffled"}
    assert 0.6 < error["constant"].value < 1.4
    assert error["nearest"].value < error["constant"].value < error["shuffled"].value
    # Whole rows are made too, from nothing, and judged beside them.
    pairs = of.evidence.pairs
    assert pairs is not None
    assert pairs.known is not None
    for one in (pairs, *pairs.baselines.values()):
        np.testing.assert_array_equal(one.made.x[pairs.known], pairs.true.x[pairs.known])
        assert one.draws is not None
        for draw in one.draws:
            np.testing.assert_array_equal(draw[pairs.known], pairs.true.x[pairs.known])
        assert (one.made.x != pairs.true.x).any()
    assert of.evidence.fake.keys != pairs.made.keys
    ((_, shown),) = answers(of)
    head, *lines = shown.rows
    assert head == ("", "x", "y", "level")
    for given, made, right in zip(*[iter(lines)] * 3, strict=True):
        assert (given[0], made[0], right[0]) == ("given", "made of it", "right answer")
        for a, b, c in zip(given[1:], made[1:], right[1:], strict=True):
            assert a == "?" or a == b == c
    assert all("?" in line for line in lines[::3])


def test_a_given_column_counts_as_known_in_whole_rows(tmp_path: Path) -> None:
    data = rows(tmp_path / "rows.csv")
    _, of, _ = judged(
        data, tmp_path / "run", "vae", "task.name=complete", "data.test=0.3", label="level"
    )
    pairs = of.evidence.pairs
    assert pairs is not None
    assert pairs.known is not None
    place = {name: i for i, name in enumerate(of.bench.field.columns)}["level"]
    assert pairs.known[:, place].all()
    assert not pairs.known.all()
    assert (pairs.made.x[:, place] == pairs.true.x[:, place]).all()


def test_a_text_from_a_text_is_compared_with_the_right_one(tmp_path: Path) -> None:
    pandas = pytest.importorskip("pandas")
    rng = np.random.default_rng(0)
    words = ["red", "blue", "green", "small", "large", "round", "box", "ball", "cup", "tree"]
    lines = [" ".join(rng.choice(words, 4)) for _ in range(200)]
    data = pandas.DataFrame({"source": lines, "target": [line.upper() for line in lines]})
    settings = ("data.test=0.3", "task.name=pair")
    found, of, _ = judged(
        data, tmp_path / "run", "autoregressive", *settings, make="target", given=["source"]
    )
    assert set(found) == {
        *("feature_distance", "exact_match", "retrieval_rank", "cer", "wer", "chrf", "rouge_l")
    }
    assert found["rouge_l"].baselines["source"].value == pytest.approx(1)  # but for the case
    assert found["cer"].baselines["source"].value > 0.7
    assert found["exact_match"].baselines["source"].value == 0
    pairs = of.evidence.pairs
    assert pairs is not None
    assert pairs.log_probs is not None
    assert pairs.log_probs.shape == (1, 51, 51)
    # In a row stands one question, in a column one answer.
    model = genwright.load(tmp_path / "run")
    split = model.dataset.splits["test"]
    numbers = np.random.default_rng([0, 1]).permutation(len(split))[:60]
    asked, truth = model.pipeline.cases(split, numbers, torch.Generator().manual_seed(0))
    question, answer = 3, 5
    batch = Batch(
        truth[[answer]],
        {"source": asked.request.cond["source"][[question]]},
        model.pipeline.made.space.valid(truth[[answer]]),
    )
    with torch.no_grad():
        alone = float(model.family.log_prob(batch))  # type: ignore[operator]
    assert pairs.log_probs[0, question, answer] == pytest.approx(alone, rel=1e-4)
    assert pairs.log_probs[0, answer, question] != pytest.approx(alone, rel=1e-4)
    ((_, shown),) = answers(of)
    head, *rows = shown.rows
    assert head == ("", "given: source", "made of it", "right answer")
    assert len(rows) == 12
    assert all(given.upper() == right for _, given, _, right in rows)


@pytest.mark.parametrize(
    ("made", "wanted"),
    [("side", {"exact_match", "cell_accuracy"}), ("place", {"crps", "interval_coverage", "cell_rmse"})],
)
def test_a_label_or_a_number_of_a_picture_is_a_row_of_one_cell(
    tmp_path: Path, made: str, wanted: set[str]
) -> None:
    rng, (y, x) = np.random.default_rng(0), np.mgrid[:8, :8]
    (tmp_path / "data").mkdir()
    lines = ["file_name,side,place"]
    for i in range(150):
        at = rng.uniform(1, 6)
        dot = 255 * np.exp(-((x - at) ** 2 + (y - 4) ** 2) / 3)
        Image.fromarray(dot.astype(np.uint8)).save(tmp_path / "data" / f"{i}.png")
        lines.append(f"{i}.png,{'left' if at < 3.5 else 'right'},{at:.3f}")
    (tmp_path / "data" / "metadata.csv").write_text("\n".join(lines) + "\n")
    settings = ("data.test=0.3", "task.name=pair")
    found, of, claims = judged(
        tmp_path / "data", tmp_path / "run", "vae", *settings, make=made, given=["image"]
    )
    assert set(found) == {"feature_distance", *wanted}
    (_, seen), (_, said) = answers(of)
    assert seen.kind == "png"
    assert said.rows[0] == ("", "made of it", "right answer")
    assert len(said.rows) == 13
    nearest = {name: one.baselines["nearest"].value for name, one in found.items()}
    if made == "side":
        assert nearest["cell_accuracy"] > 0.9
        assert nearest["cell_accuracy"] == nearest["exact_match"]
    else:
        assert nearest["cell_rmse"] < 0.2
        assert nearest["crps"] < 0.2
    (claim,) = [one for one in claims if one.question != "Is what is given heeded?"]
    assert claim.outcome == "not supported"


@pytest.mark.parametrize(
    ("leads", "outcome", "words"),
    [
        ((0.5, 0.4), "supported", "heeds what is given"),
        ((0.5, -0.1), "inconclusive", "hardly heeds what is given"),
        (
            (0.0, -0.1),
            "not supported",
            "ignores what is given: its answers to other questions are as near",
        ),
    ],
)
def test_where_a_part_is_given_its_own_answers_to_other_questions_tell_whether_it_is_heeded(
    leads: tuple[float, ...], outcome: str, words: str
) -> None:
    made = Measurement(1.0, 0.9, 1.1, 100)
    found = [
        MetricResult(
            f"metric{i}",
            "accuracy",
            "lower",
            "",
            True,
            made,
            heeded=Measurement(lead, lead - 0.2, lead + 0.2, 100),
        )
        for i, lead in enumerate(leads)
    ]
    (claim,) = [one for one in runner.claims(found) if one.question == "Is what is given heeded?"]
    assert claim.outcome == outcome
    assert words in claim.because
