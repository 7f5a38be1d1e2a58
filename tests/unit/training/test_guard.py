"""What goes wrong is named, and training goes on from the last healthy state."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from html import escape
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from genwright import api
from genwright.batch import Batch
from genwright.errors import RunError
from genwright.families.base import Vital
from genwright.families.vae import VAE
from genwright.training.anatomy import Anatomy, Figures, Pulse
from genwright.training.guard import DYING, EVERY, LASTING, MOST, MOVING, Alarm, Guard
from genwright.training.run import Run
from genwright.training.trainer import Progress
from genwright.training.usual import WINDOW

PARAMETERS = {
    f"{part}.blocks.{i}.weight": nn.Parameter(torch.ones(4, 4))
    for part in ("encoder", "decoder")
    for i in range(3)
}
ANATOMY = Anatomy(PARAMETERS)
ONES = np.ones(len(PARAMETERS))


def healthy(steps: int, seed: int = 0) -> list[tuple[float, float]]:
    """Losses that fall, noisily, with their gradients."""
    rng = np.random.default_rng(seed)
    t = np.arange(steps)
    loss = 2 + 3 * np.exp(-t / 200) + 0.3 * rng.standard_normal(steps)
    return list(zip(loss.tolist(), (1 + 0.3 * rng.gamma(2, 1, steps)).tolist(), strict=True))


def pulse(
    step: int,
    loss: float,
    norm: float,
    phase: str = "fit",
    signs: Mapping[str, float] | None = None,
    grads: Figures = ONES,
    weights: Figures | None = None,
) -> Pulse:
    """Weights move, unless given."""
    now = (10 + 1e-3 * step) * ONES if weights is None else weights
    return Pulse(phase, step, loss, norm, signs or {}, grads, lambda: now, lambda: now)


def watched(*vitals: Vital, swings: bool = False) -> Guard:
    """After a healthy while, with figures of a family that are 1."""
    guard = Guard({"fit": ANATOMY}, vitals, swings=swings)
    for step, one in enumerate(healthy(WINDOW)):
        assert guard.look(pulse(step, *one, signs={vital.sign: 1.0 for vital in vitals})) is None
    return guard


def after(guard: Guard, *then: Pulse) -> list[str | None]:
    """What is said of each of these."""
    found = [guard.look(one) for one in then]
    return [alarm and alarm.cause for alarm in found]


def lasting(steps: int, **fault: Any) -> list[Pulse]:
    return [pulse(WINDOW + i, **{"loss": 3.0, "norm": 1.5, **fault}) for i in range(steps)]


def test_a_large_parameter_that_hardly_moves_is_seen_to_move() -> None:
    p = nn.Parameter(torch.full((64, 3, 5, 5), 3.0).to(memory_format=torch.channels_last))
    anatomy = Anatomy({"pseudo": p, "bias": nn.Parameter(torch.ones(2))})
    norm, mark = anatomy.weigh(), anatomy.mark()
    assert anatomy.mark().tolist() == mark.tolist()
    with torch.no_grad():
        p += 2e-7 * (-1.0) ** torch.arange(p.numel()).view(p.shape)
    assert anatomy.weigh()[0] == norm[0]
    assert anatomy.mark()[0] != mark[0]
    assert anatomy.mark()[1] == mark[1] == 2
    empty = Anatomy({"none": nn.Parameter(torch.ones(3, 0)), "bias": nn.Parameter(torch.ones(2))})
    assert empty.mark().tolist() == [0, 2]


def test_a_healthy_training_raises_no_alarm() -> None:
    for seed in range(20):
        guard = Guard({"fit": ANATOMY})
        steps = enumerate(healthy(3000, seed))
        assert not [step for step, one in steps if guard.look(pulse(step, *one))]


@pytest.mark.parametrize(
    ("loss", "norm", "cause", "steps"),
    [
        (50.0, 30.0, "spike", LASTING),
        (3.0, 1e4, "exploding gradient", LASTING),
        (3.0, 0.0, "vanishing gradient", DYING),
        (float("nan"), 1.0, "not finite", 1),
        (3.0, float("inf"), "not finite", 1),
    ],
)
def test_each_fault_is_named_when_it_lasts(loss: float, norm: float, cause: str, steps: int) -> None:
    found = after(watched(), *lasting(steps, loss=loss, norm=norm))
    assert found == [None] * (steps - 1) + [cause]


def test_one_odd_batch_is_none() -> None:
    guard = watched()
    odd, even = {"loss": 50.0, "norm": 30.0}, {"loss": 3.0, "norm": 1.5}
    for i, one in enumerate((odd, even, odd, even)):
        assert guard.look(pulse(WINDOW + i, **one)) is None
        assert guard.calm == (one is even)  # nothing is saved meanwhile
    # A loss that leaps without its gradient, as where a weight of it changes, is not ill.
    assert after(watched(), *lasting(10, loss=50.0)) == [None] * 10


def test_an_explosion_is_placed() -> None:
    guard, grads = watched(), ONES.copy()
    grads[4] = 1e4
    *_, alarm = [guard.look(one) for one in lasting(LASTING, norm=1e4, grads=grads)]
    assert alarm is not None
    assert "decoder.blocks.1" in alarm.words


def test_a_part_without_a_gradient_is_frozen() -> None:
    grads = ONES.copy()
    grads[ANATOMY.parts["decoder"]] = 0
    guard = watched()
    found = [guard.look(one) for one in lasting(2 * EVERY, grads=grads)]
    (alarm,) = [alarm for alarm in found[: EVERY + 1] if alarm]
    assert alarm.cause == "frozen"
    assert "'decoder'" in alarm.words


def test_weights_that_do_not_move_are_frozen_unless_the_rate_is_nought() -> None:
    still = (10 + 1e-3 * WINDOW) * ONES
    assert "frozen" in after(watched(), *lasting(2 * EVERY, weights=still))
    slow = [replace(one, rate=MOVING / 2) for one in lasting(2 * EVERY, weights=still)]
    assert set(after(watched(), *slow)) == {None}
    rare = [replace(one, marks=lambda: ONES) for one in lasting(2 * EVERY)]  # what is marked is at rest
    assert set(after(watched(), *rare)) == {None}
    encoder = np.arange(len(ONES)) < 3
    half = [pulse(i, 3.0, 1.5, weights=np.where(encoder, 1.0, 2 + 1e-3 * i)) for i in range(2 * EVERY)]
    alarm = next(filter(None, map(Guard({"fit": ANATOMY}).look, half)))
    assert "'encoder'" in alarm.words


def test_a_rate_that_is_too_high_is_named() -> None:
    end = 10 + 1e-3 * WINDOW
    rush = [pulse(WINDOW + i, 3.0, 1.5, weights=(end + 0.1 * i) * ONES) for i in range(2 * EVERY)]
    assert "rate too high" in after(watched(), *rush)
    leaps = [pulse(WINDOW + i, 50.0, 30.0, weights=(end + 0.1 * i) * ONES) for i in range(LASTING)]
    assert after(watched(), *leaps)[-1] == "rate too high"
    assert after(watched(), pulse(WINDOW, math.nan, 1.0, weights=30 * ONES)) == ["rate too high"]


def test_one_leap_of_rivals_is_none_but_a_rush_that_lasts_is() -> None:
    end = 10 + 1e-3 * WINDOW
    leap = [pulse(WINDOW + i, 3.0, 1.5, weights=(end + 1e-3 * i + 0.8) * ONES) for i in range(3 * EVERY)]
    assert "rate too high" in after(watched(), *leap)
    rivals = watched(swings=True)
    assert set(after(rivals, *leap)) == {None}
    assert rivals.calm
    burst = [pulse(WINDOW + i, 3.0, 1e4, weights=leap[-1].weights()) for i in range(1, 1 + LASTING)]
    assert (
        after(watched(swings=True), leap[0], *burst)[-1] == "rate too high"
    )  # to blame for what follows
    rush = [pulse(WINDOW + i, 3.0, 1.5, weights=(end + 0.1 * i) * ONES) for i in range(3 * EVERY)]
    assert after(watched(swings=True), *rush).index("rate too high") == 2 * EVERY  # at the second look


def test_a_part_that_begins_at_nought_may_grow() -> None:
    head = np.where(np.arange(6) < 3, 10.0, 0.0)
    grown = [pulse(i, 3.0, 1.5, weights=head + 1e-3 * i) for i in range(8 * EVERY)]
    assert set(after(Guard({"fit": ANATOMY}), *grown)) == {None}


def test_a_gradient_that_fades_on_its_way_is_told_once() -> None:
    grads = ONES.copy()
    grads[ANATOMY.parts["encoder"].start] = 1e-6
    guard = watched()
    found = [alarm for one in lasting(40 * EVERY, grads=grads) if (alarm := guard.look(one))]
    assert [alarm.cause for alarm in found] == ["vanishing gradient"]
    assert not found[0].heals
    assert "'encoder.blocks.0'" in found[0].words


SIGN = Vital("codes", "dead codebook", "only {value:.0f} codes are used", "a restart", below=0.5)


def test_a_sign_of_the_family_is_looked_at() -> None:
    found = after(watched(SIGN), *lasting(SIGN.lasting, signs={"codes": 0.0}))
    assert found == [None] * (SIGN.lasting - 1) + ["dead codebook"]
    usual = replace(SIGN, below=0.1, of_usual=True, least=0.5)
    assert after(watched(usual), *lasting(SIGN.lasting, signs={"codes": 0.05}))[-1] == "dead codebook"
    assert set(after(watched(usual), *lasting(9, signs={"codes": 0.2}))) == {None}
    for never in (replace(usual, least=2.0), replace(SIGN, after=0.5)):
        assert set(after(watched(never), *lasting(9, signs={"codes": 0.0}))) == {None}


def test_a_leap_goes_by_the_name_of_the_sign_that_is_bad() -> None:
    slow = replace(SIGN, lasting=50)
    leap = lasting(LASTING, loss=50.0, norm=30.0, signs={"codes": 0.0})
    assert after(watched(slow), *leap)[-1] == "dead codebook"
    told = replace(slow, heals=False, lasting=2)
    guard = watched(told)
    found = [guard.look(one) for one in lasting(9, signs={"codes": 0.0})]
    assert [alarm.heals for alarm in found if alarm] == [False]
    assert guard.calm


def test_phases_are_looked_at_by_themselves() -> None:
    guard = Guard()
    for step, (loss, norm) in enumerate(healthy(WINDOW)):
        assert guard.look(pulse(step, loss, norm, "critic")) is None
        assert guard.look(pulse(step, 100 * loss, 100 * norm, "generator")) is None


def test_where_losses_swing_a_leap_is_no_alarm_and_an_explosion_is() -> None:
    """A critic's loss grows when the generator learns a trick; that is the game."""
    for swings, leap in ((False, "spike"), (True, None)):
        guard = Guard({"fit": ANATOMY}, swings=swings)
        assert set(after(guard, *(pulse(i, *one) for i, one in enumerate(healthy(WINDOW))))) == {None}
        assert after(guard, *lasting(LASTING, loss=50.0, norm=30.0))[-1] == leap
        assert guard.calm == swings
    assert "exploding gradient" in after(guard, *lasting(LASTING, norm=1e4))


def test_advice_names_a_rate_and_what_else_may_help() -> None:
    anew = "begin anew at a lower rate (--set train.lr=0.001)"
    assert Alarm("spike", "it leapt").advice(1e-3) == f"try data without outliers, or {anew}"
    assert Alarm("rate too high", "it raced", helps="").advice(1e-3) == anew


def test_a_leash_holds_once_it_is_known_what_is_usual() -> None:
    for leashed in (False, True):
        guard = Guard({"fit": ANATOMY}, leashed=leashed)
        assert guard.leash("fit") == math.inf
        for i in range(WINDOW):
            guard.look(pulse(i, 1.0, 0.25))
        assert guard.leash("fit") == (3 * 0.25 if leashed else math.inf)
        assert guard.leash("other") == math.inf


# -- at checks -------------------------------------------------------------------------------------


def checked(losses: Sequence[float], heldout: Sequence[float]) -> list[str]:
    """Causes that are told, with a training and a held-out loss at each check."""
    guard, step, found = Guard(), 0, []
    for i, (loss, val) in enumerate(zip(losses, heldout, strict=True)):
        for _ in range(WINDOW):
            step += 1
            assert guard.look(pulse(step, loss + 0.01 * (step % 7), 1.0)) is None
        found += [alarm.cause for alarm in guard.check(step, (i + 1) / len(losses), val)]
    return found


def test_over_fitting_is_told() -> None:
    falls, sinks = [9.0, 5, 3, 2, 1, 0.5, 0.2, 0.1], [9.0, 6, 4, 3, 2.8, 2.7, 2.6, 2.5]
    turns = [9.0, 6, 5, 4.8, 5.2, 5.6, 6, 7]
    assert checked(falls, turns) == ["over-fitting"]
    assert checked(falls, sinks) == []
    assert checked([9.0, 8, 7, 6, 7, 7.5, 8, 8.5], turns) == []  # it learns nothing by heart
    assert checked(falls, [9.0, 6, 5, 4.8, 4.81, 4.82, 4.83, 4.84]) == []


def test_learning_that_never_began_is_told() -> None:
    assert checked([5.0] * 8, [5.0] * 8) == ["stalled"]
    assert checked([5.0, 4, 3, 3, 3, 3, 3, 3], [4.0] * 8) == []  # it has arrived


def test_cover_that_was_better_has_collapsed() -> None:
    guard = Guard()
    early = [guard.cover(t, covered, True) for t, covered in ((0.1, 0.0), (0.3, 0.2), (0.4, 0.9))]
    assert early == [None] * 3
    alarm = guard.cover(0.5, 0.3, False)
    assert alarm is not None
    assert (alarm.cause, alarm.heals) == ("coverage collapse", True)
    assert guard.is_low(0.3)


def test_cover_that_is_lost_little_by_little_is_told_since_no_earlier_state_is_better() -> None:
    guard = Guard()
    falls = (0.95, 0.8, 0.65, 0.52)
    assert [guard.cover(0.2, covered, True) for covered in falls] == [None] * 4
    alarm = guard.cover(0.6, 0.45, True)
    assert alarm is not None
    assert (alarm.cause, alarm.heals) == ("coverage collapse", False)
    assert "after 95% at best" in alarm.words
    assert guard.cover(0.7, 0.4, True) is None  # told once
    again = Guard()
    again.restore(guard.state())
    for one in (guard, again):
        alarm = one.cover(0.8, 0.2, True)
        assert alarm is not None
        assert alarm.heals


def test_cover_that_never_came_is_told_at_the_end_where_no_loss_would_show_it() -> None:
    guard = Guard()
    assert [guard.cover(share, 0.3, True) for share in (0.1, 0.5, 0.9)] == [None] * 3
    assert guard.cover(1.0, 0.3, False) is None
    alarm = guard.cover(1.0, 0.3, True)
    assert alarm is not None
    assert not alarm.heals
    assert guard.cover(1.0, 0.3, True) is None


# -- what follows ----------------------------------------------------------------------------------


def test_the_rate_is_halved_and_grows_again() -> None:
    guard = Guard()
    assert guard.gentleness == 1
    guard.set_back(guard.state())
    rates = []
    for _ in range(30):
        rates.append(guard.gentleness)
        guard.passed()
    assert rates == sorted(rates)
    assert rates[0] < 0.05
    assert rates[-1] == 0.5


def test_going_back_it_knows_what_it_knew() -> None:
    guard = watched()
    known = json.loads(json.dumps(guard.state()))
    assert after(guard, *lasting(LASTING, loss=50.0, norm=30.0))[-1] == "spike"
    guard.set_back(known)
    assert guard.setbacks == 1
    assert guard.state() | {"setbacks": 0, "since": known["since"]} == known
    assert after(guard, *lasting(LASTING, loss=50.0, norm=30.0))[-1] == "spike"


def test_a_guard_goes_on_from_its_state() -> None:
    one, other = watched(SIGN), Guard({"fit": ANATOMY}, (SIGN,))
    then = lasting(40, loss=50.0, norm=30.0)
    one.look(then[0])
    other.restore(json.loads(json.dumps(one.state())))
    assert [one.look(pulse) for pulse in then[1:]] == [other.look(pulse) for pulse in then[1:]]
    assert one.state() == other.state()


def test_a_state_of_before_vitals_still_goes_on() -> None:
    guard = Guard()
    guard.restore({"setbacks": 1, "since": 3, "alarms": ["x"], "seen": {}, "lasting": {"fit/spike": 1}})
    assert (guard.setbacks, guard.since, guard.calm) == (1, 3, True)


# -- in a training ---------------------------------------------------------------------------------


@pytest.fixture
def data(tmp_path: Path) -> Path:
    rng = np.random.default_rng(0)
    x = rng.normal(size=(300, 2)) @ np.array([[1, 0.8], [0, 0.3]])
    (tmp_path / "rows.csv").write_text("x,y\n" + "\n".join(f"{a:.3f},{b:.3f}" for a, b in x) + "\n")
    return tmp_path / "rows.csv"


def train(data: Path, out: Path, **more: object) -> Run:
    options = ["train.batch_size=16", "train.checks=3", "train.samples=2", "train.log_every=1"]
    api.train(data, family="vae", size="xs", steps=120, out=out, settings=options, seed=1, **more)
    return Run.open(out)


def alarms(run: Run) -> list[dict[str, object]]:
    return [record for record in run.metrics() if "guard" in record]


def poison(monkeypatch: pytest.MonkeyPatch, what: str, *, heals: bool = True) -> None:
    """A fault that a gentler training does not have, or that it has too."""
    plain = VAE.loss

    def sick(self: VAE, batch: Batch, phase: str) -> dict[str, Tensor]:
        if self.clock.step >= 70 and not (heals and self.clock.setbacks):
            if what == "batch":
                batch = Batch(batch.x * torch.nan, batch.cond)
            else:  # as a rate far too high would leave them
                with torch.no_grad():
                    for p in self.parameters():
                        p += 0.5 * torch.randn_like(p)
        return plain(self, batch, phase)

    monkeypatch.setattr(VAE, "loss", sick)


@pytest.mark.parametrize(("what", "cause"), [("batch", "not finite"), ("weights", "rate too high")])
def test_a_fault_is_named_and_left_behind(
    what: str, cause: str, data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    clean = train(data, tmp_path / "clean")
    assert alarms(clean) == []
    poison(monkeypatch, what)
    run = train(data, tmp_path / "run")
    (found,) = alarms(run)
    assert found["guard"] == cause
    assert 70 <= int(str(found["step"])) < 90
    assert str(found["did"]).startswith("back to step 40")
    assert run.step == 120
    last = [[r["val_loss"] for r in one.metrics() if "val_loss" in r][-1] for one in (clean, run)]
    assert last[1] < last[0] + 0.3
    assert "no alarm" in (tmp_path / "clean" / "index.html").read_text()
    assert escape(str(found["words"])) in (tmp_path / "run" / "index.html").read_text()


def test_going_back_survives_a_resume(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    poison(monkeypatch, "batch")
    whole = train(data, tmp_path / "whole")

    class Killed(Exception):
        pass

    def kill(progress: Progress) -> None:
        if progress.step == 60 and progress.notice:  # on its second way
            raise Killed

    with suppress(Killed):
        train(data, tmp_path / "cut", report=kill)
    assert Run.open(tmp_path / "cut").step == 40
    api.train(resume=tmp_path / "cut")
    cut = Run.open(tmp_path / "cut")
    assert cut.step == whole.step == 120
    one, other = whole.weights(), cut.weights()
    assert all(torch.equal(one[name], other[name]) for name in one)


def test_what_does_not_heal_ends_with_the_best_weights_kept(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    poison(monkeypatch, "batch", heals=False)
    with pytest.raises(RunError, match=r"was not finite at step 71, .* best weights \(step 40\)"):
        train(data, tmp_path / "run")
    run = Run.open(tmp_path / "run")
    assert run.step == 40
    assert [str(found["did"])[:4] for found in alarms(run)] == ["back"] * MOST + ["give"]
    assert len(api.load(tmp_path / "run").sample(3).examples) == 3
    page = (tmp_path / "run" / "index.html").read_text()
    assert page.count("was not finite") == MOST + 1


def test_a_state_is_not_saved_while_something_odd_is_watched(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A check at step 80 waits for the leaps of 79 and 80 to pass."""
    plain = VAE.loss

    def odd(self: VAE, batch: Batch, phase: str) -> dict[str, Tensor]:
        terms = plain(self, batch, phase)
        return (
            {name: 40 * term for name, term in terms.items()} if self.clock.step in (78, 79) else terms
        )

    monkeypatch.setattr(VAE, "loss", odd)
    run = train(data, tmp_path / "run")
    assert alarms(run) == []
    assert [r["step"] for r in run.metrics() if "val_loss" in r] == [40, 81, 120]
