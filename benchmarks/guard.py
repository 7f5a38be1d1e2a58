"""Does the guard see what goes wrong, name it, and mend it; and is it quiet where nothing does?

    python benchmarks/guard.py faults [--fault rate --fault batch] [--family vae] [--seeds 10]
    python benchmarks/guard.py clean [--family vae] [--task points --task digits] [--seeds 10]
    python benchmarks/guard.py vanilla [--seeds 10]

faults: a ring of 8 Gaussians, tiny nets, 300 steps of 64 examples; at step 155 something goes wrong and stays
so until training has gone back once. Told are the steps until it was seen, the cause that was named, and the
judge's coverage of 2,000 samples of the averaged weights beside 2,000 real ones, relative to that of
the same training without the fault: within 5 % it is mended.

    rate       100 times the learning rate                           any family
    batch      a batch of NaN (of symbols: a loss of NaN)            any family
    frozen     the generator's optimiser does nothing                gan
    saturated  the critic is told the answer: +-20 on its scores     gan
    codebook   all examples are given one code                       vqvae
    kl         the posterior is the prior, the ring lying in eight   vae
               dimensions, so that there is something to tell

clean: each family on the ring (a VAE on one that lies in eight dimensions: in two there is so little to tell
that its code does fall silent) and on the built-in digits, through the whole pipeline; every alarm is false.
Unpaired families bring digits to inverted ones; what makes no samples has its digits alone.
vanilla: the GAN of 2014 on a grid of 25 Gaussians, which loses modes: it must be flagged for that.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from sklearn.datasets import load_digits
from torch import Tensor

from _report import say
from genwright import api
from genwright.batch import Batch
from genwright.evaluation.metrics.manifold import Coverage
from genwright.evaluation.neighbours import balls
from genwright.families.base import Family
from genwright.families.capabilities import Generative
from genwright.families.gan import GAN
from genwright.families.translator import Translator
from genwright.families.vae import VAE
from genwright.families.vqvae import VQVAE
from genwright.nets.auto import Auto
from genwright.planning import choose_bridge
from genwright.recipe import TrainOptions
from genwright.registry import build, names, resolve
from genwright.space import Real, Space
from genwright.storage.run import Run
from genwright.training.optim import PhaseOptimizer
from genwright.training.trainer import Trainer
from modes import CONTROL, Points

N = 2000
LIFT = torch.randn(2, 8, generator=torch.Generator().manual_seed(0))
STEPS, AT, BATCH = 300, 155, 64
CAUSES = {
    "rate": {"rate too high"},
    "batch": {"not finite"},
    "frozen": {"frozen"},
    "saturated": {"discriminator saturated"},
    "codebook": {"dead codebook"},
    "kl": {"KL collapse"},
}


def law(n: int, seed: int, grid: bool = False) -> Tensor:
    """Of unit spread in each column."""
    rng = torch.Generator().manual_seed(seed)
    if grid:
        x = torch.randint(-2, 3, (n, 2), generator=rng) + 0.025 * torch.randn(n, 2, generator=rng)
        return x / 2**0.5
    angle = 2 * torch.pi * torch.randint(0, 8, (n,), generator=rng) / 8
    at = torch.stack([angle.cos(), angle.sin()], dim=1) * 2**0.5
    return at + 0.3 * torch.randn(n, 2, generator=rng)


def lifted(x: Tensor, seed: int) -> Tensor:
    rng = torch.Generator().manual_seed(seed)
    return x @ LIFT + 0.1 * torch.randn(len(x), 8, generator=rng)


def covered(family: Family, bridge: Any, seed: int) -> float:
    """The judge's coverage of fresh real examples, over that by other real examples."""
    made = bridge.inverse(family.sample(N, seed=seed), torch.Generator().manual_seed(seed))
    if made.shape[1] > 2:  # back to the plane of the ring
        made = made @ torch.linalg.pinv(LIFT)
    real, other = (law(N, 10_000 + 2 * seed + i).double().numpy() for i in range(2))
    score = Coverage().score
    return score(balls(real, made.double().numpy(), 5)) / score(balls(real, other, 5))


class Sick(Trainer):
    """With a fault from step `AT` on, until it has gone back."""

    fault = ""

    @property
    def sick(self) -> bool:
        return bool(self.fault) and self.family.clock.step >= AT and not self.monitor.rollbacks

    def infect(self) -> None:
        family, stream = self.family, self.stream
        if self.fault == "batch":
            following = stream.next

            def poisoned(*given: Any) -> Batch:
                batch = following(*given)
                return Batch(batch.x * torch.nan) if self.sick else batch

            losses = family.loss

            def spoilt(batch: Batch, phase: str) -> dict[str, Tensor]:
                terms = losses(batch, phase)
                return {name: term * torch.nan for name, term in terms.items()} if self.sick else terms

            if family.space.kind == "symbol":  # which have no NaN
                family.loss = spoilt  # type: ignore[method-assign]  # the fault
                return

            stream.next = poisoned  # type: ignore[method-assign]  # the fault
        if self.fault == "saturated":
            assert isinstance(family, GAN)
            plain = family.adversary.loss

            def sure(pair: Callable[[Tensor, Tensor], Tensor]) -> Callable[[Tensor, Tensor], Tensor]:
                return lambda real, fake: pair(real + 20, fake - 20) if self.sick else pair(real, fake)

            family.adversary.loss = replace(
                plain, critic=sure(plain.critic), generator=sure(plain.generator)
            )
        if self.fault == "codebook":
            assert isinstance(family, VQVAE)
            nearest = family.codebook.nearest

            def one(h: Tensor) -> Tensor:
                return nearest(h) * 0 if self.sick else nearest(h)

            family.codebook.nearest = one  # type: ignore[method-assign]  # the fault
        if self.fault == "kl":
            assert isinstance(family, VAE)
            features = family._features

            def prior(*given: Any) -> Tensor:  # mean and log-variance 0
                return features(*given) * (0 if self.sick else 1)

            family._features = prior  # type: ignore[method-assign]  # the fault

    def begin(self) -> None:
        super().begin()
        self.infect()
        if self.fault == "frozen":
            generator = self.steps["generator"].optimizer
            step = generator.step

            def idle(factor: float) -> None:
                if not self.sick:
                    return step(factor)
                for engine in generator.engines:
                    engine.zero_grad(set_to_none=True)
                return None

            generator.step = idle  # type: ignore[method-assign]  # the fault

        if self.fault == "rate":
            for one in self.steps.values():
                self.heat(one.optimizer)

    def heat(self, optimizer: PhaseOptimizer) -> None:
        step = optimizer.step

        def hot(factor: float) -> None:
            step(100 * factor if self.sick else factor)

        optimizer.step = hot  # type: ignore[method-assign]  # the fault


def train(
    name: str, seed: int, fault: str = "", *, steps: int = STEPS, x: Tensor | None = None, **given: Any
) -> tuple[Family, Any, list[dict[str, Any]]]:
    """The averaged family, its bridge, and what the guard saw."""
    x = law(20_000, seed) if x is None else x
    space = Space((), (Real(x.shape[1]),))
    _, bridge = choose_bridge(name, space, bridge="auto")
    if bridge.plan(space) != space:
        bridge = choose_bridge(name, space, bridge="quantize", options={"bins": 64})[1]
    bridge.fit(space, x)
    torch.manual_seed(seed)
    family: Family = build("families", name, given, bridge.target, {}, Auto("xs"), where="family")
    options = TrainOptions(steps=steps, batch_size=BATCH, log_every=steps, device="cpu")
    with tempfile.TemporaryDirectory() as folder:
        run = Run.create(Path(folder) / "run", recipe={}, plan="", codec={})
        trainer = Sick(family, Points(x, bridge), run, options, seed)
        trainer.fault = fault
        try:
            trainer.fit()
        except api.RunError as error:
            end = {"guard": "gave up", "words": str(error)}
            return trainer.ema.family, bridge, [*run.alarms(), end]
        return trainer.ema.family, bridge, run.alarms()


# -- the three questions ---------------------------------------------------------------------------


def families_of(fault: str) -> list[str]:
    one = {"frozen": ["gan"], "saturated": ["gan"], "kl": ["vae"], "codebook": ["vqvae"]}
    return one.get(fault, [name for name in names("families") if on_points(resolve("families", name))])


def on_points(kind: type[Family]) -> bool:
    return issubclass(kind, Generative) and not issubclass(kind, Translator)


def faults(args: argparse.Namespace) -> None:
    clean: dict[tuple[str, int, bool], float] = {}
    for fault in args.fault or CAUSES:
        for name in [f for f in families_of(fault) if f in (args.family or [f])]:
            rows = []
            for seed in range(args.first, args.first + args.seeds):
                wide = fault == "kl"
                x = lifted(law(20_000, seed), seed) if wide else None
                if (name, seed, wide) not in clean:
                    family, bridge, _ = train(name, seed, x=x)
                    clean[name, seed, wide] = covered(family, bridge, seed)
                began = time.perf_counter()
                family, bridge, alarms = train(name, seed, fault, x=x)
                none = {"guard": "none", "step": 10**6, "words": ""}
                first = next((one for one in alarms if one.get("did") != "told"), none)
                rows.append(
                    {
                        "seed": seed,
                        "after": first["step"] - AT,
                        "cause": first["guard"],
                        "alarms": len(alarms),
                        "cover": round(covered(family, bridge, seed), 3),
                        "clean": round(clean[name, seed, wide], 3),
                        "seconds": round(time.perf_counter() - began, 1),
                        "words": first["words"],
                    }
                )
                if args.verbose:
                    print(fault, name, rows[-1], flush=True)
            say(
                benchmark="guard faults",
                fault=fault,
                family=name,
                seeds=len(rows),
                within_20=sum(row["after"] <= 20 for row in rows),
                median_steps=statistics.median(row["after"] for row in rows),
                named_rightly=sum(row["cause"] in CAUSES[fault] for row in rows),
                causes=dict(Counter(row["cause"] for row in rows)),
                mended=sum(row["cover"] >= 0.95 * row["clean"] for row in rows),
                worst=min(row["cover"] / max(row["clean"], 1e-9) for row in rows),
                more_than_one_alarm=sum(row["alarms"] > 1 for row in rows),
                mean_clean_cover=round(statistics.mean(row["clean"] for row in rows), 3),
            )


def clean(args: argparse.Namespace) -> None:
    for task in args.task or ("points", "digits"):
        for name in args.family or names("families"):
            kind: type[Family] = resolve("families", name)
            if task == "points" and not on_points(kind):
                continue
            found: list[str] = []
            covers, began = [], time.perf_counter()
            for seed in range(args.first, args.first + args.seeds):
                if task == "points":
                    x = lifted(law(20_000, seed), seed) if name == "vae" else None
                    family, bridge, alarms = train(name, seed, steps=args.steps, x=x)
                    covers.append(covered(family, bridge, seed))
                else:
                    alarms, cover = digits(name, seed, args.steps, issubclass(kind, Translator))
                    covers += cover
                found += [f"{seed}: {alarm['guard']}: {alarm['words']}" for alarm in alarms]
            say(
                benchmark="guard clean",
                task=task,
                family=name,
                seeds=args.seeds,
                steps=args.steps,
                false_alarms=len(found),
                alarms=found[:10],
                mean_cover=round(float(np.mean(covers)), 3) if covers else None,
                seconds=round(time.perf_counter() - began),
            )


def digits(name: str, seed: int, steps: int, unpaired: bool) -> tuple[list[dict[str, Any]], list[float]]:
    with tempfile.TemporaryDirectory() as folder:
        data: str | Path = "digits"
        if unpaired:
            grey = np.rint(load_digits().images * 255 / 16).astype(np.uint8)
            domain = np.array(["ink", "paper"])[np.arange(len(grey)) % 2]
            data = Path(folder) / "pair.npz"
            inked = (domain == "ink")[:, None, None]
            np.savez(data, images=np.where(inked, grey, 255 - grey), domain=domain)
        settings = [f"train.batch_size={BATCH}", "train.samples=4", "train.device=cpu"]
        run = Path(folder) / "run"
        try:
            api.train(
                data,
                family=name,
                label="domain" if unpaired else None,
                size="xs",
                steps=steps,
                seed=seed,
                out=run,
                settings=settings,
            )
        except api.RunError as error:
            return [{"guard": "gave up", "words": str(error)}], []
        done = Run.open(run)
        covers = [record["coverage"] for record in done.metrics() if "coverage" in record]
        return done.alarms(), covers[-1:]


def vanilla(args: argparse.Namespace) -> None:
    flagged: list[Any] = []
    for seed in range(args.first, args.first + args.seeds):
        x = law(20_000, seed, grid=True)
        _, _, alarms = train("gan", seed, steps=args.steps, x=x, **CONTROL)
        flagged.append([f"{alarm.get('step')}: {alarm['guard']}" for alarm in alarms])
        if args.verbose:
            print(seed, flagged[-1], flush=True)
    caught = sum(any("coverage collapse" in one for one in alarms) for alarms in flagged)
    say(benchmark="guard vanilla", seeds=args.seeds, steps=args.steps, caught=caught, alarms=flagged)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("what", choices=["faults", "clean", "vanilla"])
    parser.add_argument("--fault", action="append", choices=list(CAUSES))
    parser.add_argument("--family", action="append", choices=names("families"))
    parser.add_argument("--task", action="append", choices=["points", "digits"])
    parser.add_argument("--seeds", type=int, default=10)
    parser.add_argument("--first", type=int, default=0)
    parser.add_argument("--steps", type=int, default=STEPS)
    parser.add_argument("--verbose", action="store_true")
    args = parser.parse_args()
    {"faults": faults, "clean": clean, "vanilla": vanilla}[args.what](args)


if __name__ == "__main__":
    main()
