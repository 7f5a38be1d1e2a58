"""A family's own illnesses, in real trainings: seen, named, mended; and how much of the data is covered."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from genwright import api
from genwright.families.base import Family
from genwright.families.codebook import Codebook
from genwright.families.cyclegan import CycleGAN
from genwright.families.gan import GAN
from genwright.families.stargan import StarGAN
from genwright.families.vae import VAE
from genwright.storage.run import Run
from genwright.training.monitor.coverage import Cover
from genwright.training.optim import PhaseOptimizer

AT, STEPS = 85, 130


@pytest.fixture
def data(tmp_path: Path) -> Path:
    rng = np.random.default_rng(0)
    x = rng.normal(size=(300, 2)) @ np.array([[1, 0.8], [0, 0.3]])
    (tmp_path / "rows.csv").write_text("x,y\n" + "\n".join(f"{a:.3f},{b:.3f}" for a, b in x) + "\n")
    return tmp_path / "rows.csv"


def issues(data: Path, out: Path, family: str) -> list[dict[str, Any]]:
    options = ["train.batch_size=16", "train.checks=5", "train.samples=2"]
    if family in ("gan", "vae"):
        options.append("family.latent=4")
    if family in ("cyclegan", "stargan"):
        rows = data.read_text().splitlines()
        rows = [f"{row},{'side' if not i else 'ab'[i % 2]}" for i, row in enumerate(rows)]
        data.write_text("\n".join(rows) + "\n")
        options += ["data.label=side", "family.loss=relativistic"]
    api.train(data, family=family, size="xs", steps=STEPS, out=out, settings=options, seed=1)
    return [record for record in Run.open(out).metrics() if "guard" in record]


def sick(family: Family) -> bool:
    return family.training and family.clock.step >= AT and not family.clock.rollbacks


def sure(monkeypatch: pytest.MonkeyPatch) -> None:
    """A critic that is told the answer."""

    def told(pair: Callable[[Tensor, Tensor], Tensor]) -> Callable[[Tensor, Tensor], Tensor]:
        return lambda real, fake: pair(real + 20, fake - 20)

    def fooled(plain: Callable[..., dict[str, Tensor]]) -> Callable[..., dict[str, Tensor]]:
        def loss(self: Any, *given: Any) -> dict[str, Tensor]:
            kind = self.adversary.loss
            if sick(self):
                self.adversary.loss = replace(
                    kind, critic=told(kind.critic), generator=told(kind.generator)
                )
            terms = plain(self, *given)
            self.adversary.loss = kind
            return terms

        return loss

    for family in (GAN, CycleGAN, StarGAN):
        monkeypatch.setattr(family, "loss", fooled(family.loss))


def asleep(monkeypatch: pytest.MonkeyPatch) -> None:
    """A generator whose optimiser does nothing."""
    families: list[Family] = []
    plain, step, init = GAN.loss, PhaseOptimizer.step, PhaseOptimizer.__init__

    def loss(self: GAN, *given: Any) -> dict[str, Tensor]:
        families[:] = [self]
        return plain(self, *given)

    def begin(self: PhaseOptimizer, family: Family, phase: Any, options: Any) -> None:
        init(self, family, phase, options)
        self.idles = phase.name == "generator"  # type: ignore[attr-defined]  # for the fault below

    def idle(self: PhaseOptimizer, factor: float) -> None:
        if not (self.idles and sick(families[0])):  # type: ignore[attr-defined]  # as above
            return step(self, factor)
        for engine in self.engines:
            engine.zero_grad(set_to_none=True)
        return None

    monkeypatch.setattr(GAN, "loss", loss)
    monkeypatch.setattr(PhaseOptimizer, "__init__", begin)
    monkeypatch.setattr(PhaseOptimizer, "step", idle)


def mute(monkeypatch: pytest.MonkeyPatch) -> None:
    """A posterior that is the prior: its mean and its log-variance are 0."""
    plain = VAE._features

    def features(self: VAE, *given: Any) -> Tensor:
        found = plain(self, *given)
        return 0 * found if sick(self) else found

    monkeypatch.setattr(VAE, "_features", features)


@pytest.mark.parametrize(
    ("family", "fault", "cause", "steps"),
    [
        ("gan", sure, "discriminator saturated", 12),
        pytest.param("cyclegan", sure, "discriminator saturated", 12, marks=pytest.mark.journey),
        pytest.param("stargan", sure, "discriminator saturated", 12, marks=pytest.mark.journey),
        ("gan", asleep, "frozen", 16),
        ("vae", mute, "KL collapse", 3),
    ],
    ids=["saturated", "cyclegan", "stargan", "frozen", "kl"],
)
def test_an_illness_is_seen_named_and_mended(
    family: str,
    fault: Callable[[pytest.MonkeyPatch], None],
    cause: str,
    steps: int,
    data: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    fault(monkeypatch)
    found = [one for one in issues(data, tmp_path / "run", family) if one["did"] != "told"]
    assert [one["guard"] for one in found] == [cause]
    assert AT < found[0]["step"] <= AT + steps
    assert found[0]["did"].startswith("back to step 78")


def test_a_batch_told_in_one_code_has_no_variety() -> None:
    book = Codebook(8, 4, 0.9)
    assert float(book.variety(torch.arange(64) % 8)) == pytest.approx(8)
    assert float(book.variety(torch.zeros(64, dtype=torch.long))) == pytest.approx(1)


def test_cover_that_collapses_leads_back_and_is_not_saved(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[tuple[int, int]] = []

    def cover(self: Cover, family: Family, turn: int = 0) -> float:
        asked.append((family.clock.step, turn))
        return 0.1 if family.clock.step == 78 and not family.clock.rollbacks else 0.9

    monkeypatch.setattr(Cover, "__call__", cover)
    (found,) = issues(data, tmp_path / "run", "vae")
    assert (found["guard"], found["step"]) == ("coverage collapse", 78)
    assert found["did"].startswith("back to step 52")
    assert asked == [(26, 0), (52, 0), (78, 0), (78, 1), (78, 0), (104, 0), (130, 0)]


def test_an_average_that_is_off_for_a_while_is_no_collapse(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def cover(self: Cover, family: Family, turn: int = 0) -> float:
        averaged = not any(p.requires_grad for p in family.parameters())
        return 0.1 if averaged and family.clock.step > 52 else 0.9

    monkeypatch.setattr(Cover, "__call__", cover)
    assert issues(data, tmp_path / "run", "gan") == []


def test_a_training_without_a_fault_is_quiet(data: Path, tmp_path: Path) -> None:
    for family in ("gan", "vae"):
        found = issues(data, tmp_path / family, family)
        assert [one for one in found if one["did"] != "told"] == []
