"""The judge from the command line: files of any origin in, a verdict out."""

from __future__ import annotations

import json
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import genwright
from commands import TINY, call, done, pictures, refused
from genwright.api import make_recipe
from genwright.errors import DataError
from genwright.evaluation import cache, inputs, reference, runner
from genwright.evaluation.heldout import heldout_log_likelihood
from genwright.evaluation.metric import Measurement
from genwright.evaluation.metrics.likelihood import likelihood_result
from genwright.experiment import Experiment, open_data

FAST = ("--features", "pca", "--metric", "kid", "--metric", "columns", "--metric", "exact_copies")


def rows(path: Path, n: int, seed: int, noise: float = 0.3) -> Path:
    """A table whose columns belong together."""
    rng = np.random.default_rng(seed)
    x = rng.normal(size=n)
    y = 2 * x + noise * rng.normal(size=n)
    lines = [f"{a:.4f},{b:.4f},{'high' if b > 0 else 'low'}" for a, b in zip(x, y, strict=True)]
    path.write_text("\n".join(["x,y,level", *lines]) + "\n")
    return path


@pytest.fixture(scope="module")
def room(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("judged")
    rows(folder / "real.csv", 800, 0)
    rows(folder / "later.csv", 200, 1)
    rows(folder / "good.csv", 200, 2)
    rows(folder / "noisy.csv", 200, 3, noise=3.0)
    copied = (folder / "real.csv").read_text().splitlines()[:201]
    (folder / "copied.csv").write_text("\n".join(copied) + "\n")
    return folder


def judged(room: Path, fake: str, out: Path, *more: str) -> dict[str, object]:
    done(
        *("judge", "--fake", room / fake, "--real", room / "real.csv"),
        *("--holdout", room / "later.csv", "--out", out, *(more or FAST)),
    )
    found: dict[str, object] = json.loads((out / "report.json").read_text(encoding="utf-8"))
    return found


def of(report: dict[str, object], metric: str, who: str = "model") -> float:
    lines = {line["metric"]: line for line in report["metrics"]}  # type: ignore[attr-defined]
    value: float = lines[metric][who]["value"]
    return value


def test_another_tools_table_is_judged(room: Path, tmp_path: Path) -> None:
    good = judged(room, "good.csv", tmp_path / "good")
    noisy = judged(room, "noisy.csv", tmp_path / "noisy")
    copied = judged(room, "copied.csv", tmp_path / "copied")
    assert of(good, "kid") < of(noisy, "kid")
    assert of(good, "columns") > of(noisy, "columns")
    assert of(good, "exact_copies") == 0
    # Copies are looked for among what is trained on, four fifths of the real ones.
    assert of(copied, "exact_copies") > 0.7
    assert of(good, "exact_copies", "copycat") == 1


def test_the_same_seed_gives_the_same_bytes(room: Path, tmp_path: Path) -> None:
    judged(room, "good.csv", tmp_path / "a")
    runner.measurements.clear()
    cache.answers.clear()
    judged(room, "good.csv", tmp_path / "b")
    for name in ("report.html", "report.json"):
        assert (tmp_path / "a" / name).read_bytes() == (tmp_path / "b" / name).read_bytes()


@pytest.mark.journey
def test_the_number_of_threads_changes_no_byte(room: Path, tmp_path: Path) -> None:
    before, every = torch.get_num_threads(), ("--features", "pca")
    try:
        for threads in (1, 3):
            torch.set_num_threads(threads)
            runner.measurements.clear()
            cache.answers.clear()
            judged(room, "good.csv", tmp_path / str(threads), *every)
    finally:
        torch.set_num_threads(before)
    one, three = ((tmp_path / n / "report.json").read_bytes() for n in ("1", "3"))
    assert one == three


def test_the_company_of_several_models_is_read_once(room: Path, tmp_path: Path) -> None:
    runner.measurements.clear()
    judged(room, "good.csv", tmp_path / "good")
    before = len(runner.measurements)
    assert before == len(FAST[3::2]) * len(("model", "floor", "copycat", "marginals", "mix", "copula"))
    kept = judged(room, "noisy.csv", tmp_path / "noisy")
    assert len(runner.measurements) == before + len(FAST[3::2])
    runner.measurements.clear()
    assert judged(room, "noisy.csv", tmp_path / "noisy") == kept


def test_a_run_is_judged(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    rows(tmp_path / "real.csv", 300, 0)
    done("train", "real.csv", "--out", "run", *TINY)
    assert "Not judged yet" in Path("run/index.html").read_text()
    said = done("judge", "run", *FAST).out
    page = Path("run/index.html").read_text()
    assert '<ul class="verdict">' in page
    assert "by now" not in page  # it judged the step that the run is at
    for command in ("sample run -n 64", "judge run", "train --resume run --steps 6"):
        assert f"genwright {command}</pre>" in page
    assert "run/judge/report.html" in said
    assert Path("run/judge/report.json").is_file()
    done("train", "real.csv", "--out", "other", "--seed", "1", *TINY)
    assert "One training of each was compared" in done("judge", "run", "other", *FAST).out
    judgement = genwright.judge("run", features="pca", wanted=["kid"])
    assert [line.metric for line in judgement.results] == ["kid"]


@pytest.mark.parametrize(
    ("args", "words"),
    [
        ((), ["run", "--fake"]),
        (("--fake", "good.csv"), ["--fake", "--real"]),
        (("--fake", "good.csv", "--real", "nowhere.csv"), ["nowhere.csv"]),
        (("--fake", "nowhere.csv", "--real", "real.csv"), ["nowhere.csv"]),
        (("--fake", "letters.txt", "--real", "real.csv"), ["letters.txt", "table"]),
        (("--fake", "less.csv", "--real", "real.csv"), ["'y'", "no column"]),
        (("--fake", "one.csv", "--real", "real.csv"), ["one.csv", "1 usable"]),
        (("--fake", "empty", "--real", "real.csv"), ["empty"]),
        (("--fake", "good.csv", "--real", "good.csv", "-n", "0"), ["n", "1 or more"]),
        (("--fake", "good.csv", "--real", "real.csv", "--features", "pac"), ["extractors", "pca"]),
        (
            ("--fake", "good.csv", "--real", "real.csv", "--metric", "kdi"),
            ["'kdi'", "did you mean 'kid'"],
        ),
        (("nowhere",), ["nowhere"]),
    ],
)
def test_what_cannot_be_judged_is_refused_in_a_sentence(
    room: Path, monkeypatch: pytest.MonkeyPatch, args: tuple[str, ...], words: list[str]
) -> None:
    monkeypatch.chdir(room)
    Path("letters.txt").write_text("a b c " * 40)
    Path("less.csv").write_text("x,level\n" + "0.1,low\n0.2,high\n" * 50)
    Path("one.csv").write_text("x,y,level\n0.1,0.2,low\n")
    Path("empty").mkdir(exist_ok=True)
    refused("judge", *args, words=words)
    assert not Path("judged").exists()


def test_a_wrong_file_or_name_is_refused_before_a_lens_is_trained(
    room: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    trained: list[object] = []

    def never(*args: object, **more: object) -> None:
        trained.append(args)
        raise AssertionError("trained")

    monkeypatch.chdir(room)
    monkeypatch.setattr(reference, "extractor_for", never)
    Path("one.csv").write_text("x,y,level\n0.1,0.2,low\n")
    refused("judge", "--fake", "one.csv", "--real", "real.csv", words=["one.csv", "1 usable"])
    Path("long.txt").write_text("the quick brown fox jumps over the lazy dog\n" * 900)
    Path("line.txt").write_text("one line\n")
    refused("judge", "--fake", "line.txt", "--real", "long.txt", words=["line.txt", "whole windows"])
    asked = ("--fake", "good.csv", "--real", "real.csv", "--metric", "mmd")
    refused("judge", *asked, words=["'mmd'", "metrics", "known", "crps"])
    assert not trained
    said = call("judge", "--fake", "good.csv", "--real", "real.csv")  # else nothing would have been seen
    assert trained
    assert said.code != 0


def test_odd_pictures_are_spoken_of(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    pictures(tmp_path / "real", 80)
    pictures(tmp_path / "fake", 30, side=16, first=500)
    said = done(
        "judge", "--fake", "fake", "--real", "real", "--features", "pca", "--metric", "pixels"
    ).out
    assert "no holdout was named" in said
    assert "16 x 16 and were brought to 8 x 8" in said


def test_ctrl_c_ends_a_judgement_in_a_sentence(room: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(room)

    def interrupted(*args: object, **more: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("genwright.evaluation.inputs.judged", interrupted)
    said = call("judge", "--fake", "good.csv", "--real", "real.csv", *FAST)
    assert (said.code, said.out, said.err) == (130, "", "genwright: stopped\n")
    assert not Path("judged").exists()


def test_what_is_long_in_the_making_is_compared_in_fewer_examples(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    done("train", rows(tmp_path / "rows.csv", 120, 0), "--out", "run", "--set", "data.test=0.5", *TINY)
    monkeypatch.setattr(inputs, "FEWEST", 12)
    monkeypatch.setattr(inputs, "WORK", 1.0)
    few = inputs.of_run(genwright.load("run"), None, 0, extractor="pca")
    assert len(few.evidence.fake) == len(few.evidence.test) == 12
    (note,) = [note for note in few.notes if "at most are compared" in note]
    assert "held-out examples 12 at most" in note
    held = int(note.rpartition("-n ")[2].split()[0])
    assert len(inputs.of_run(genwright.load("run"), held, 0, extractor="pca").evidence.fake) > 12
    monkeypatch.setattr(inputs, "WORK", 1e15)
    whole = inputs.of_run(genwright.load("run"), None, 0, extractor="pca")
    assert len(whole.evidence.fake) > 12
    assert not [note for note in whole.notes if "at most are compared" in note]


@pytest.mark.parametrize("val", [0.0, 0.05])
def test_there_is_a_floor_where_there_is_little_to_choose_by(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, val: float
) -> None:
    monkeypatch.chdir(tmp_path)
    data = rows(tmp_path / "rows.csv", 200, 0)
    done("train", data, "--out", "run", "--set", "data.test=0.3", "--set", f"data.val={val}", *TINY)
    case = inputs.of_run(genwright.load("run"), None, 0, extractor="pca")
    held, floor = case.evidence.test, case.evidence.reference
    assert floor is not None
    assert len(held) == len(floor) == len(case.evidence.fake)
    assert len(held) == case.bench.dataset.stats.counts["test"] // 2
    assert sorted(held.keys) != sorted(floor.keys)
    assert [note for note in case.notes if "held-out ones are the floor of the others" in note]
    assert inputs.judged(case, "run", 0).claims


@pytest.mark.parametrize(
    ("family", "kind"), [("autoregressive", "exact"), ("vae", "bound"), ("gan", "none")]
)
def test_a_run_of_texts_is_asked_what_unseen_ones_cost(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, family: str, kind: str
) -> None:
    """As many nats as its own held-out loss says, by another way; no more, where that is a looser bound."""
    monkeypatch.chdir(tmp_path)
    rng = np.random.default_rng(0)
    Path("texts").mkdir()
    for i in range(60):
        letters = rng.choice(list("abcdé"), 400, p=[0.6, 0.1, 0.1, 0.1, 0.1])
        Path(f"texts/{i}.txt").write_text("".join(letters))
    sizes = ("--set", "codec.length=32", "--set", "data.test=0.3")
    done("train", "texts", "--out", "run", "--family", family, *sizes, *TINY)
    model = genwright.load("run")
    found = heldout_log_likelihood(model, 500, 0, oracle=1.0)
    if kind == "none":
        assert found is None
        return
    assert found is not None
    assert (found.unit, found.exact) == ("bits_per_byte", kind == "exact")
    stream = Experiment.resumed(model.run, model.recipe).stream()
    stream.held = open_data(model.recipe)[1].splits["test"]
    with torch.no_grad():
        sums = [model.family.heldout(batch) for batch in stream.heldout(64, 500, torch.device("cpu"))]
    told = float(sum(total for total, _ in sums))
    assert found.model.sum() == pytest.approx(told, rel=1e-4 if kind == "exact" else 0.05)
    assert kind == "exact" or found.model.sum() < told
    # Counting says what the letters cost, é being two bytes.
    law = -sum(p * np.log2(p) for p in (0.6, 0.1, 0.1, 0.1, 0.1)) / 1.1
    known = likelihood_result(found)
    assert known.baselines["marginals"].value == pytest.approx(law, rel=0.05)
    assert known.real_baseline is not None


def test_samples_that_nobody_can_read_are_named_and_no_folder_of_ours(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("texts").mkdir()
    for i in range(30):
        Path(f"texts/{i}.txt").write_text("abcde " * 20)
    recipe, dataset = open_data(make_recipe("texts", settings=["codec.length=16"]))
    bench = reference.reference_data(recipe, dataset, 0, "pca")

    class Nothing:
        def write(self, folder: str) -> None:
            Path(folder, "0.txt").write_text("")

    samples: Any = Nothing()
    with pytest.raises(DataError) as caught:
        bench.write_and_reload(samples, 5, np.random.default_rng(0))
    assert str(caught.value).startswith("nothing of the samples can be read: 0.txt is empty")
    assert tempfile.gettempdir() not in str(caught.value)


def test_rows_are_judged_as_they_stand_in_the_file(room: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Not as a codec would mend them: a value that cannot be stays one."""
    monkeypatch.chdir(room)
    lines = Path("good.csv").read_text().splitlines()
    for name, wrong in (("huge", "1e300"), ("gap", "")):
        broken = [lines[0]] + [",".join([wrong, *line.split(",")[1:]]) for line in lines[1:]]
        Path(f"{name}.csv").write_text("\n".join(broken) + "\n")
    found = {
        name: genwright.judge(fake=f"{name}.csv", real="real.csv", features="pca", wanted=["validity"])
        for name in ("good", "huge", "gap")
    }
    values = {name: j.results[0].model.value for name, j in found.items() if j.results[0].model}
    assert values["good"] > 0.95
    assert values["huge"] == values["gap"] == 0


def test_who_has_seen_the_exam_is_told(room: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(room)
    judgement = genwright.judge(
        fake="good.csv", real="real.csv", holdout="good.csv", features="pca", wanted=["kid"]
    )
    assert "their maker has seen the exam" in judgement.not_measured[0]


def test_identifiers_of_real_records_in_a_file_are_named(
    room: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Though no other value of theirs stands there."""
    monkeypatch.chdir(tmp_path)

    def numbered(name: str, first: int) -> Path:
        head, *lines = (room / name).read_text().splitlines()
        rows = [f"P{first + i},{line}" for i, line in enumerate(lines)]
        Path(name).write_text("\n".join([f"patient_id,{head}", *rows]) + "\n")
        return Path(name)

    real, fresh = numbered("real.csv", 1000), numbered("good.csv", 5000)
    asked = {"real": real, "features": "pca", "wanted": ["kid"]}
    assert not any("patient_id" in note for note in genwright.judge(fake=fresh, **asked).not_measured)
    told = genwright.judge(fake=numbered("good.csv", 1700), **asked).not_measured[0]
    assert "100 of the 200 values of 'patient_id' in good.csv are those of real records" in told


def test_what_is_held_out_shares_no_group_with_training(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    rng = np.random.default_rng(0)
    owner = {1000 + int(x): f"p{i // 4}" for i, x in enumerate(rng.permutation(4000)[:400])}
    lines = [f"{person},{x},{rng.normal():.3f}" for x, person in owner.items()]
    for name in ("real.csv", "fake.csv"):
        Path(name).write_text("\n".join(["person,x,y", *lines]) + "\n")

    def shared(group: str | None) -> int:
        paths = Path("fake.csv"), Path("real.csv")
        question = inputs.of_files(*paths, None, 200, 0, group=group, extractor="pca").evidence
        assert question.reference is not None
        # Who a row is of, told by another column: so many people are no category to a table. Numbers beyond
        # those to train on become the last of those.
        columns = [s.raw["x"].astype(int) for s in (question.train, question.test, question.reference)]
        inner = [x[x.between(columns[0].min() + 1, columns[0].max() - 1)] for x in columns]
        sides = [{owner[x] for x in column} for column in inner]
        return len(sides[0] & sides[1]) + len(sides[0] & sides[2])

    assert shared(None) > 20
    assert shared("person") == 0


# -- within a training -----------------------------------------------------------------------------

WATCHED = ("--set", "train.judge=1", "--set", "train.judge_examples=60", "--set", "data.val=0.2")


def test_the_judge_looks_in_on_a_training(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    rows(tmp_path / "real.csv", 400, 0)
    few = ("--family", "gan", "--steps", "12", "--set", "train.checks=4", "--size", "xs")
    done("train", "real.csv", "--out", "run", *few, *WATCHED)
    records = [json.loads(line) for line in Path("run/metrics.jsonl").read_text().splitlines()]
    found = {record["step"]: record["judge/kid"] for record in records if "judge/kid" in record}
    assert list(found) == [3, 6, 9, 12]
    model = genwright.load("run")
    # A GAN has no held-out loss, so it is the judge who chooses.
    assert model.run.best == min(found, key=lambda step: found[step])
    kept = json.loads(Path("run/judge/000006.json").read_text())
    assert kept["metrics"]["kid"]["value"] == found[6]
    assert kept["n"] == 60
    assert {"precision", "coverage", "exact_copies"} <= kept["metrics"].keys()
    assert "kid of samples" in Path("run/index.html").read_text()


def test_looking_in_changes_nothing_and_the_loss_or_the_judge_chooses(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    rows(tmp_path / "real.csv", 400, 0)
    few = ("--family", "vae", "--steps", "12", "--set", "train.checks=4", "--size", "xs")
    few = (*few, "--set", "data.val=0.2")
    done("train", "real.csv", "--out", "plain", *few)
    done("train", "real.csv", "--out", "watched", *few, *WATCHED)
    # Judged scores in which the loss and the judge differ: the judge likes the first check best.
    scores = iter([1.0, 2.0, 3.0, 4.0])
    monkeypatch.setattr(
        "genwright.evaluation.in_training.InTrainingEvaluation.__call__",
        lambda self, samples, path: {"kid": Measurement(value := next(scores), value, value, 60)},
    )
    done("train", "real.csv", "--out", "chosen", *few, *WATCHED, "--set", "train.keep=judge")
    plain, watched, chosen = (genwright.load(name).run for name in ("plain", "watched", "chosen"))
    assert plain.best == watched.best != 3
    assert chosen.best == 3
    done("train", "real.csv", "--out", "kept", *few, "--set", "train.keep=last")
    kept = genwright.load("kept")
    assert kept.run.best is None
    assert kept.step == 12
    last = [run.weights("last") for run in (plain, watched, chosen)]
    assert all(torch.equal(last[0][name], other[name]) for other in last[1:] for name in last[0])


def test_judging_without_enough_to_choose_by_is_refused_before_anything_is_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    rows(tmp_path / "real.csv", 100, 0)
    refused(
        "train", "real.csv", "--out", "run", "--set", "train.judge=1", words=["50 examples", "data.val"]
    )
    assert not Path("run").exists()
    refused(
        "train", "real.csv", "--set", "train.keep=judge", words=["train.keep=judge", "train.judge=1"]
    )


def test_a_large_holdout_gives_the_floor_too(tmp_path: Path) -> None:
    """Then all that the maker saw is searched for copies, and as many are compared as were asked for."""
    fake, real = rows(tmp_path / "fake.csv", 100, 1), rows(tmp_path / "real.csv", 120, 2)
    large, small = rows(tmp_path / "large.csv", 200, 3), rows(tmp_path / "small.csv", 199, 3)
    both = inputs.of_files(fake, real, large, 100, 0, extractor="pca").evidence
    assert both.reference is not None
    assert [len(one) for one in (both.train, both.test, both.reference, both.fake)] == [
        120,
        100,
        100,
        100,
    ]
    assert (
        len(set(both.reference.keys) & {*both.test.keys, *both.train.keys}) < 5
    )  # few rows equal others
    less = inputs.of_files(fake, real, small, 100, 0, extractor="pca").evidence
    assert less.reference is None
    assert len(less.train) < 120
