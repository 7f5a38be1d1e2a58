"""What a linear model reads off codes: on data where the answer is known, and on real digits."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

import genwright
from commands import TINY, done, refused
from genwright import api
from genwright.analysis import linear_probe
from genwright.analysis.linear_probe import Probe, ProbeScore
from genwright.errors import DataError, RecipeError

SETTINGS = ["data.test=0.4", "train.checks=1", "train.samples=0"]


@pytest.fixture(scope="module")
def rows(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A label that is told by the angle of two numbers; a size that is one of them; and a lottery."""
    rng = np.random.default_rng(0)
    lines = ["a,b,kind,size,lot"]
    for a, b in rng.standard_normal((600, 2)):
        kind = "up" if a + b > 0 else "down"
        size = 3 * a + 0.1 * rng.standard_normal()
        lines.append(f"{a:.4f},{b:.4f},{kind},{size:.4f},{'xyz'[rng.integers(3)]}")
    path = tmp_path_factory.mktemp("rows") / "rows.csv"
    path.write_text("\n".join(lines) + "\n")
    return path


def made(rows: Path, family: str, label: list[str]) -> str:
    out = rows.parent / f"{family}-{'-'.join(label)}"
    if not out.exists():
        api.train(rows, family=family, label=label, size="xs", steps=20, out=out, settings=SETTINGS)
    return str(out)


@pytest.mark.parametrize("family", ["vae", "flow", "contrastive"])
def test_what_is_there_is_read_and_what_is_not_is_not(rows: Path, family: str) -> None:
    run = made(rows, family, ["kind", "size", "lot"])
    kind, size, lot = (genwright.probe(run, label=name) for name in ("kind", "size", "lot"))
    assert (kind.measure, size.measure, lot.measure) == ("accuracy", "R2", "accuracy")
    assert list(kind.scores) == ["codes", "untrained", "numbers", "majority"]
    assert kind.train + kind.n < 600 and kind.n > 200  # noqa: PT018 - of one split
    # The plain numbers tell both, nothing tells the lottery, and the majority nothing of either.
    assert kind.scores["numbers"].value > 0.95
    assert size.scores["numbers"].value > 0.99
    assert kind.scores["codes"].value > 0.8
    assert size.scores["codes"].value > 0.8
    assert lot.scores["codes"].low < 0.37
    assert lot.scores["numbers"].low < 0.37
    assert size.scores["majority"].value == pytest.approx(0, abs=0.05)
    assert kind.scores["majority"].value < 0.6
    for found in (kind, size):
        for score in found.scores.values():
            assert score.low <= score.value <= score.high
        ahead = found.scores["majority"].ahead
        assert ahead is not None
        assert ahead[1] > 0
    assert "beat majority" in kind.verdict


def test_the_same_seed_gives_the_same_figures(rows: Path) -> None:
    run = made(rows, "vae", ["kind", "size", "lot"])
    one, two = (genwright.probe(run, seed=3, n=100) for _ in range(2))
    assert one == two
    assert one.label == "kind"
    assert one.train == 100


def test_a_family_is_not_told_what_is_to_be_read(rows: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from genwright.families.vae import VAE

    told: list[set[str]] = []
    encode = VAE.encode

    def spy(self: VAE, batch: object) -> object:
        told.append({*batch.cond})  # type: ignore[attr-defined]
        return encode(self, batch)  # type: ignore[arg-type]

    monkeypatch.setattr(VAE, "encode", spy)
    genwright.probe(made(rows, "vae", ["kind", "size", "lot"]))
    assert told
    assert set().union(*told) == set()


def test_what_a_run_encodes_is_not_read_off(rows: Path) -> None:
    run = made(rows, "vae", ["kind"])
    with pytest.raises(
        RecipeError, match=r"'size' is part of what this run encodes.*--label size"
    ) as error:
        genwright.probe(run, label="size")
    assert error.value.code == "label-in-example"
    with pytest.raises(DataError) as unknown:
        genwright.probe(run, label="sise")
    assert unknown.value.code == "no-such-field"


def test_the_verdict_says_who_is_ahead() -> None:
    codes, other = (
        ProbeScore(0.9, 0.8, 1.0),
        ProbeScore(0.5, 0.4, 0.6, (0.4, 0.3, 0.5)),
    )
    worse, like = (ProbeScore(0.9, 0.8, 1, (-0.1, -0.1 - far, -0.1 + far)) for far in (0.05, 0.2))
    scores = {"codes": codes, "untrained": other, "numbers": worse, "majority": like}
    found = Probe("vae", "y", "accuracy", scores, {}, 1, 1, 0)
    assert found.verdict == "The codes beat untrained, lose to numbers, cannot be told from majority."


def test_on_the_command_line(room: Path) -> None:
    done("train", "rows.csv", "--family", "contrastive", "--label", "y", "--out", "c", *TINY)
    assert "makes no examples" in Path("c/index.html").read_text()
    assert not [*Path("c/samples").glob("*")]
    for verb in ("sample", "judge"):
        refused(verb, "c", words=["contrastive", "makes no examples", "genwright probe", "--family vae"])
    words = ["makes no examples"]
    refused("train", "rows.csv", "--family", "contrastive", "--set", "train.judge=1", words=words)
    refused("probe", "nowhere", words=["nowhere", "not a run"])
    refused("probe", "text", words=["autoregressive has no codes", "--family contrastive"])
    said = refused("probe", "text", "--json", words=["autoregressive has no codes"])
    assert json.loads(said.out)["error"] == "no-encoder"
    refused("probe", "c", "--label", "z", words=["'z'"])
    refused("probe", "c", "-n", "0", words=["probe.n", "1 or more"])
    assert "learns codes, makes no examples" in done("plan", "rows.csv", "--family", "contrastive").out
    refused("probe", "image", words=[f"at least {linear_probe.LEAST} examples", "data.test"])
    done("train", "rows.csv", "--family", "vae", "--label", "", "--out", "none", *TINY)
    refused("probe", "none", words=["no label to read off", "--label", "x, "])


@pytest.mark.parametrize("as_json", [False, True])
def test_it_says_what_it_found(rows: Path, as_json: bool) -> None:
    run = made(rows, "vae", ["kind", "size", "lot"])
    said = done("probe", run, *(["--json"] if as_json else [])).out
    if as_json:
        found = json.loads(said)
        assert found["scores"]["codes"]["ahead"] is None
        assert found["verdict"].startswith("The codes ")
        assert len(found["scores"]["numbers"]["ahead"]) == 3
    else:
        assert "accuracy of 'kind' on" in said
        assert "codes ahead by" in said


@pytest.mark.journey
def test_contrastive_codes_of_digits_beat_untrained_ones_and_plain_numbers(tmp_path: Path) -> None:
    """With 100 labels; with 1,000 plain numbers are as good, since digits are nearly linear."""
    settings = [*SETTINGS, "train.lr=1e-2"]
    api.train(
        "digits", family="contrastive", size="xs", steps=200, out=tmp_path / "c", settings=settings
    )
    found = genwright.probe(tmp_path / "c", n=100)
    assert found.n > 600
    for other in ("untrained", "numbers", "majority"):
        ahead = found.scores[other].ahead
        assert ahead is not None
        assert ahead[1] > 0, found
