"""A model that is given something is asked in pairs: its answers beside the right ones and beside trivial ones."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import genwright
from genwright.evaluation.results import EvaluationReport, MetricResult

SIZE = ("train.checks=1", "train.samples=2")


def judged(data: Path, out: Path, family: str, *settings: str, **choices: object) -> EvaluationReport:
    run = genwright.train(
        data, family=family, size="xs", steps=3, out=out, settings=[*SIZE, *settings], **choices
    )
    return genwright.judge(run.run.path, n=60, features="pca")


def accuracy(report: EvaluationReport) -> dict[str, MetricResult]:
    return {one.metric: one for one in report.results if one.group == "accuracy"}


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
    report = judged(
        blobs(tmp_path / "data"),
        tmp_path / "run",
        "vae",
        "task.name=restore",
        "data.val=0.3",
        "data.test=0.3",
    )
    found = accuracy(report)
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
    (claim,) = [one for one in report.claims if "right answers" in one.question]
    assert claim.outcome == "not supported"


def test_a_completed_row_is_judged_by_the_cells_that_were_hidden(tmp_path: Path) -> None:
    report = judged(
        rows(tmp_path / "rows.csv"), tmp_path / "run", "masked", "task.name=complete", "data.test=0.3"
    )
    found = accuracy(report)
    assert {"cell_accuracy", "cell_rmse"} <= set(found)
    assert not {"retrieval_rank", "psnr", "cer"} & set(found)
    error = found["cell_rmse"].baselines
    assert set(error) == {"constant", "nearest", "shuffled"}
    assert 0.6 < error["constant"].value < 1.4
    assert error["nearest"].value < error["constant"].value < error["shuffled"].value
    # Whole rows are still made and judged beside them.
    assert {one.group for one in report.results} >= {"accuracy", "fidelity", "novelty"}


@pytest.mark.parametrize("made", ["target"])
def test_a_text_from_a_text_is_compared_with_the_right_one(tmp_path: Path, made: str) -> None:
    rng = np.random.default_rng(0)
    words = ["red", "blue", "green", "small", "large", "round", "box", "ball", "cup", "tree"]
    lines = [" ".join(rng.choice(words, 4)) for _ in range(200)]
    data = tmp_path / "pairs.csv"
    data.write_text("source,target\n" + "\n".join(f"{a},{a.upper()}" for a in lines) + "\n")
    pytest.importorskip("pandas")
    frame = __import__("pandas").read_csv(data)
    run = genwright.train(
        frame,
        family="autoregressive",
        size="xs",
        steps=3,
        out=tmp_path / "run",
        make=made,
        given=["source"],
        settings=[*SIZE, "data.test=0.3", "task.name=pair"],
    )
    found = accuracy(genwright.judge(run.run.path, n=60, features="pca"))
    assert set(found) == {
        *("feature_distance", "exact_match", "retrieval_rank", "cer", "wer", "chrf", "rouge_l")
    }
    assert found["rouge_l"].baselines["source"].value == pytest.approx(1)  # but for the case
    assert found["cer"].baselines["source"].value > 0.7
    assert found["exact_match"].baselines["source"].value == 0
