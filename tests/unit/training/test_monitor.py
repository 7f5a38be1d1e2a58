"""What goes wrong is named, and training goes on from the last healthy state."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from html import unescape
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from genwright import api
from genwright.batch import Batch
from genwright.errors import RunError
from genwright.families.base import Diagnostic
from genwright.families.vae import VAE
from genwright.storage.run import Run
from genwright.training.monitor.checks import LOOK_EVERY, MIN_LR, SPIKE_STEPS, ZERO_STEPS, Issue
from genwright.training.monitor.monitor import MAX_ROLLBACKS, Monitor
from genwright.training.monitor.robust import WINDOW
from genwright.training.monitor.stats import Figures, ParameterGroups, StepStats
from genwright.training.trainer import Progress

PARAMETERS = {
    f"{part}.blocks.{i}.weight": nn.Parameter(torch.ones(4, 4))
    for part in ("encoder", "decoder")
    for i in range(3)
}
GROUPS = ParameterGroups(PARAMETERS)
ONES = np.ones(len(PARAMETERS))


def healthy(steps: int, seed: int = 0) -> list[tuple[float, float]]:
    """Losses that fall, noisily, with their gradients."""
    rng = np.random.default_rng(seed)
    t = np.arange(steps)
    loss = 2 + 3 * np.exp(-t / 200) + 0.3 * rng.standard_normal(steps)
    return list(zip(loss.tolist(), (1 + 0.3 * rng.gamma(2, 1, steps)).tolist(), strict=True))


def stats(
    step: int,
    loss: float,
    norm: float,
    phase: str = "fit",
    diagnostic_values: Mapping[str, float] | None = None,
    grad_norms: Figures = ONES,
    weight_norms: Figures | None = None,
) -> StepStats:
    """Weights move, unless given."""
    now = (10 + 1e-3 * step) * ONES if weight_norms is None else weight_norms
    return StepStats(
        phase, step, loss, norm, diagnostic_values or {}, grad_norms, lambda: now, lambda: now
    )


def watched(*diagnostics: Diagnostic, adversarial: bool = False) -> Monitor:
    """After a healthy while, with figures of a family that are 1."""
    monitor = Monitor({"fit": GROUPS}, diagnostics, adversarial=adversarial)
    for step, one in enumerate(healthy(WINDOW)):
        assert (
            monitor.look(
                stats(step, *one, diagnostic_values={one.value_name: 1.0 for one in diagnostics})
            )
            is None
        )
    return monitor


def after(monitor: Monitor, *then: StepStats) -> list[str | None]:
    """What is said of each of these."""
    found = [monitor.look(one) for one in then]
    return [issue and issue.cause for issue in found]


def lasting(steps: int, **fault: Any) -> list[StepStats]:
    return [stats(WINDOW + i, **{"loss": 3.0, "norm": 1.5, **fault}) for i in range(steps)]


def test_a_large_parameter_that_hardly_moves_is_seen_to_move() -> None:
    p = nn.Parameter(torch.full((64, 3, 5, 5), 3.0).to(memory_format=torch.channels_last))
    groups = ParameterGroups({"pseudo": p, "bias": nn.Parameter(torch.ones(2))})
    norms, checksums = groups.weight_norms(), groups.checksums()
    assert groups.checksums().tolist() == checksums.tolist()
    with torch.no_grad():
        p += 2e-7 * (-1.0) ** torch.arange(p.numel()).view(p.shape)
    assert groups.weight_norms()[0] == norms[0]
    assert groups.checksums()[0] != checksums[0]
    assert groups.checksums()[1] == checksums[1] == 2
    empty = ParameterGroups(
        {"none": nn.Parameter(torch.ones(3, 0)), "bias": nn.Parameter(torch.ones(2))}
    )
    assert empty.checksums().tolist() == [0, 2]


def test_a_healthy_training_raises_no_alarm() -> None:
    for seed in range(20):
        monitor = Monitor({"fit": GROUPS})
        steps = enumerate(healthy(3000, seed))
        assert not [step for step, one in steps if monitor.look(stats(step, *one))]


@pytest.mark.parametrize(
    ("loss", "norm", "cause", "steps"),
    [
        (50.0, 30.0, "spike", SPIKE_STEPS),
        (3.0, 1e4, "exploding gradient", SPIKE_STEPS),
        (3.0, 0.0, "vanishing gradient", ZERO_STEPS),
        (float("nan"), 1.0, "not finite", 1),
        (3.0, float("inf"), "not finite", 1),
    ],
)
def test_each_fault_is_named_when_it_lasts(loss: float, norm: float, cause: str, steps: int) -> None:
    found = after(watched(), *lasting(steps, loss=loss, norm=norm))
    assert found == [None] * (steps - 1) + [cause]


def test_one_odd_batch_is_none() -> None:
    monitor = watched()
    odd, even = {"loss": 50.0, "norm": 30.0}, {"loss": 3.0, "norm": 1.5}
    for i, one in enumerate((odd, even, odd, even)):
        assert monitor.look(stats(WINDOW + i, **one)) is None
        assert monitor.is_stable == (one is even)  # nothing is saved meanwhile
    # A loss that leaps without its gradient, as where a weight of it changes, is not ill.
    assert after(watched(), *lasting(10, loss=50.0)) == [None] * 10


def test_an_explosion_is_placed() -> None:
    monitor, norms = watched(), ONES.copy()
    norms[4] = 1e4
    *_, issue = [monitor.look(one) for one in lasting(SPIKE_STEPS, norm=1e4, grad_norms=norms)]
    assert issue is not None
    assert "decoder.blocks.1" in issue.words


def test_a_part_without_a_gradient_is_frozen() -> None:
    norms = ONES.copy()
    norms[GROUPS.parts["decoder"]] = 0
    monitor = watched()
    found = [monitor.look(one) for one in lasting(2 * LOOK_EVERY, grad_norms=norms)]
    (issue,) = [issue for issue in found[: LOOK_EVERY + 1] if issue]
    assert issue.cause == "frozen"
    assert "'decoder'" in issue.words


def test_weights_that_do_not_move_are_frozen_unless_the_rate_is_nought() -> None:
    still = (10 + 1e-3 * WINDOW) * ONES
    assert "frozen" in after(watched(), *lasting(2 * LOOK_EVERY, weight_norms=still))
    slow = [replace(one, lr_factor=MIN_LR / 2) for one in lasting(2 * LOOK_EVERY, weight_norms=still)]
    assert set(after(watched(), *slow)) == {None}
    rare = [
        replace(one, checksums=lambda: ONES) for one in lasting(2 * LOOK_EVERY)
    ]  # what is marked is at rest
    assert set(after(watched(), *rare)) == {None}
    encoder = np.arange(len(ONES)) < 3
    half = [
        stats(i, 3.0, 1.5, weight_norms=np.where(encoder, 1.0, 2 + 1e-3 * i))
        for i in range(2 * LOOK_EVERY)
    ]
    issue = next(filter(None, map(Monitor({"fit": GROUPS}).look, half)))
    assert "'encoder'" in issue.words


def test_a_rate_that_is_too_high_is_named() -> None:
    end = 10 + 1e-3 * WINDOW
    fast = [
        stats(WINDOW + i, 3.0, 1.5, weight_norms=(end + 0.1 * i) * ONES) for i in range(2 * LOOK_EVERY)
    ]
    assert "rate too high" in after(watched(), *fast)
    leaps = [
        stats(WINDOW + i, 50.0, 30.0, weight_norms=(end + 0.1 * i) * ONES) for i in range(SPIKE_STEPS)
    ]
    assert after(watched(), *leaps)[-1] == "rate too high"
    assert after(watched(), stats(WINDOW, math.nan, 1.0, weight_norms=30 * ONES)) == ["rate too high"]


def test_one_large_update_of_adversarial_networks_is_none_but_one_that_lasts_is() -> None:
    end = 10 + 1e-3 * WINDOW
    leap = [
        stats(WINDOW + i, 3.0, 1.5, weight_norms=(end + 1e-3 * i + 0.8) * ONES)
        for i in range(3 * LOOK_EVERY)
    ]
    assert "rate too high" in after(watched(), *leap)
    rivals = watched(adversarial=True)
    assert set(after(rivals, *leap)) == {None}
    assert rivals.is_stable
    burst = [
        stats(WINDOW + i, 3.0, 1e4, weight_norms=leap[-1].weight_norms())
        for i in range(1, 1 + SPIKE_STEPS)
    ]
    assert (
        after(watched(adversarial=True), leap[0], *burst)[-1] == "rate too high"
    )  # to blame for what follows
    fast = [
        stats(WINDOW + i, 3.0, 1.5, weight_norms=(end + 0.1 * i) * ONES) for i in range(3 * LOOK_EVERY)
    ]
    assert (
        after(watched(adversarial=True), *fast).index("rate too high") == 2 * LOOK_EVERY
    )  # at the second look


def test_a_part_that_begins_at_nought_may_grow() -> None:
    head = np.where(np.arange(6) < 3, 10.0, 0.0)
    grown = [stats(i, 3.0, 1.5, weight_norms=head + 1e-3 * i) for i in range(8 * LOOK_EVERY)]
    assert set(after(Monitor({"fit": GROUPS}), *grown)) == {None}


def test_a_gradient_that_fades_on_its_way_is_told_once() -> None:
    norms = ONES.copy()
    norms[GROUPS.parts["encoder"].start] = 1e-6
    monitor = watched()
    found = [issue for one in lasting(40 * LOOK_EVERY, grad_norms=norms) if (issue := monitor.look(one))]
    assert [issue.cause for issue in found] == ["vanishing gradient"]
    assert not found[0].recoverable
    assert "'encoder.blocks.0'" in found[0].words


DEAD = Diagnostic("codes", "dead codebook", "only {value:.0f} codes are used", "a restart", below=0.5)


def test_a_diagnostic_of_the_family_is_looked_at() -> None:
    found = after(watched(DEAD), *lasting(DEAD.steps, diagnostic_values={"codes": 0.0}))
    assert found == [None] * (DEAD.steps - 1) + ["dead codebook"]
    robust = replace(DEAD, below=0.1, relative=True, min_median=0.5)
    assert (
        after(watched(robust), *lasting(DEAD.steps, diagnostic_values={"codes": 0.05}))[-1]
        == "dead codebook"
    )
    assert set(after(watched(robust), *lasting(9, diagnostic_values={"codes": 0.2}))) == {None}
    for never in (replace(robust, min_median=2.0), replace(DEAD, after=0.5)):
        assert set(after(watched(never), *lasting(9, diagnostic_values={"codes": 0.0}))) == {None}


def test_a_spike_goes_by_the_name_of_the_diagnostic_that_is_out_of_bounds() -> None:
    slow = replace(DEAD, steps=50)
    leap = lasting(SPIKE_STEPS, loss=50.0, norm=30.0, diagnostic_values={"codes": 0.0})
    assert after(watched(slow), *leap)[-1] == "dead codebook"
    told = replace(slow, recoverable=False, steps=2)
    monitor = watched(told)
    found = [monitor.look(one) for one in lasting(9, diagnostic_values={"codes": 0.0})]
    assert [issue.recoverable for issue in found if issue] == [False]
    assert monitor.is_stable


def test_phases_are_looked_at_by_themselves() -> None:
    monitor = Monitor()
    for step, (loss, norm) in enumerate(healthy(WINDOW)):
        assert monitor.look(stats(step, loss, norm, "critic")) is None
        assert monitor.look(stats(step, 100 * loss, 100 * norm, "generator")) is None


def test_where_losses_swing_a_leap_is_no_alarm_and_an_explosion_is() -> None:
    """A critic's loss grows when the generator learns a trick; that is the game."""
    for adversarial, leap in ((False, "spike"), (True, None)):
        monitor = Monitor({"fit": GROUPS}, adversarial=adversarial)
        assert set(after(monitor, *(stats(i, *one) for i, one in enumerate(healthy(WINDOW))))) == {None}
        assert after(monitor, *lasting(SPIKE_STEPS, loss=50.0, norm=30.0))[-1] == leap
        assert monitor.is_stable == adversarial
    assert "exploding gradient" in after(monitor, *lasting(SPIKE_STEPS, norm=1e4))


def test_advice_names_a_rate_and_what_else_may_help() -> None:
    anew = "begin anew at a lower rate (--set train.lr=0.001)"
    assert Issue("spike", "it leapt").advice(1e-3) == f"try data without outliers, or {anew}"
    assert Issue("rate too high", "it raced", remedy="").advice(1e-3) == anew


def test_clipping_adapts_once_the_median_is_known() -> None:
    for clips_adaptively in (False, True):
        monitor = Monitor({"fit": GROUPS}, clips_adaptively=clips_adaptively)
        assert monitor.adaptive_clip_norm("fit") == math.inf
        for i in range(WINDOW):
            monitor.look(stats(i, 1.0, 0.25))
        assert monitor.adaptive_clip_norm("fit") == (3 * 0.25 if clips_adaptively else math.inf)
        assert monitor.adaptive_clip_norm("other") == math.inf


# -- at checks -------------------------------------------------------------------------------------


def checked(losses: Sequence[float], heldout: Sequence[float]) -> list[str]:
    """Causes that are told, with a training and a held-out loss at each check."""
    monitor, step, found = Monitor(), 0, []
    for i, (loss, val) in enumerate(zip(losses, heldout, strict=True)):
        for _ in range(WINDOW):
            step += 1
            assert monitor.look(stats(step, loss + 0.01 * (step % 7), 1.0)) is None
        found += [issue.cause for issue in monitor.check(step, (i + 1) / len(losses), val)]
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
    monitor = Monitor()
    early = [
        monitor.check_coverage(t, covered, True) for t, covered in ((0.1, 0.0), (0.3, 0.2), (0.4, 0.9))
    ]
    assert early == [None] * 3
    issue = monitor.check_coverage(0.5, 0.3, False)
    assert issue is not None
    assert (issue.cause, issue.recoverable) == ("coverage collapse", True)


def test_cover_that_is_lost_little_by_little_is_told_since_no_earlier_state_is_better() -> None:
    monitor = Monitor()
    falls = (0.95, 0.8, 0.65, 0.52)
    assert [monitor.check_coverage(0.2, covered, True) for covered in falls] == [None] * 4
    issue = monitor.check_coverage(0.6, 0.45, True)
    assert issue is not None
    assert (issue.cause, issue.recoverable) == ("coverage collapse", False)
    assert "after 95% at best" in issue.words
    assert monitor.check_coverage(0.7, 0.4, True) is None  # told once
    again = Monitor()
    again.restore(monitor.state())
    for one in (monitor, again):
        issue = one.check_coverage(0.8, 0.2, True)
        assert issue is not None
        assert issue.recoverable


def test_cover_that_never_came_is_told_at_the_end_where_no_loss_would_show_it() -> None:
    monitor = Monitor()
    assert [monitor.check_coverage(share, 0.3, True) for share in (0.1, 0.5, 0.9)] == [None] * 3
    assert monitor.check_coverage(1.0, 0.3, False) is None
    issue = monitor.check_coverage(1.0, 0.3, True)
    assert issue is not None
    assert not issue.recoverable
    assert monitor.check_coverage(1.0, 0.3, True) is None


# -- what follows ----------------------------------------------------------------------------------


def test_the_rate_is_halved_and_grows_again() -> None:
    monitor = Monitor()
    assert monitor.lr_scale == 1
    monitor.rollback(monitor.state())
    rates = []
    for _ in range(30):
        rates.append(monitor.lr_scale)
        monitor.passed()
    assert rates == sorted(rates)
    assert rates[0] < 0.05
    assert rates[-1] == 0.5


def test_going_back_it_knows_what_it_knew() -> None:
    monitor = watched()
    known = json.loads(json.dumps(monitor.state()))
    assert after(monitor, *lasting(SPIKE_STEPS, loss=50.0, norm=30.0))[-1] == "spike"
    monitor.rollback(known)
    assert monitor.rollbacks == 1
    assert monitor.state() | {"setbacks": 0, "since": known["since"]} == known
    assert after(monitor, *lasting(SPIKE_STEPS, loss=50.0, norm=30.0))[-1] == "spike"


def test_a_monitor_goes_on_from_its_state() -> None:
    one, other = watched(DEAD), Monitor({"fit": GROUPS}, (DEAD,))
    then = lasting(40, loss=50.0, norm=30.0)
    one.look(then[0])
    other.restore(json.loads(json.dumps(one.state())))
    assert [one.look(stats) for stats in then[1:]] == [other.look(stats) for stats in then[1:]]
    assert one.state() == other.state()


def test_a_state_of_before_diagnostics_still_goes_on() -> None:
    monitor = Monitor()
    monitor.restore(
        {"setbacks": 1, "since": 3, "alarms": ["x"], "seen": {}, "lasting": {"fit/spike": 1}}
    )
    assert (monitor.rollbacks, monitor.since, monitor.is_stable) == (1, 3, True)


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


def issues(run: Run) -> list[dict[str, object]]:
    return [record for record in run.metrics() if "guard" in record]


def poison(monkeypatch: pytest.MonkeyPatch, what: str, *, recoverable: bool = True) -> None:
    """A fault that a gentler training does not have, or that it has too."""
    plain = VAE.loss

    def sick(self: VAE, batch: Batch, phase: str) -> dict[str, Tensor]:
        if self.clock.step >= 70 and not (recoverable and self.clock.rollbacks):
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
    assert issues(clean) == []
    poison(monkeypatch, what)
    run = train(data, tmp_path / "run")
    (found,) = issues(run)
    assert found["guard"] == cause
    assert 70 <= int(str(found["step"])) < 90
    assert str(found["did"]).startswith("back to step 40")
    assert run.step == 120
    last = [[r["val_loss"] for r in one.metrics() if "val_loss" in r][-1] for one in (clean, run)]
    assert last[1] < last[0] + 0.3
    assert "no alarm" in (tmp_path / "clean" / "index.html").read_text()
    assert str(found["words"]) in unescape((tmp_path / "run" / "index.html").read_text())


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
    poison(monkeypatch, "batch", recoverable=False)
    with pytest.raises(
        RunError, match=r"was not finite at step 71, .* best weights \(step 40\)"
    ) as error:
        train(data, tmp_path / "run")
    assert error.value.code == "training-diverged"
    run = Run.open(tmp_path / "run")
    assert run.step == 40
    assert [str(found["did"])[:4] for found in issues(run)] == ["back"] * MAX_ROLLBACKS + ["give"]
    assert len(api.load(tmp_path / "run").sample(3).examples) == 3
    page = (tmp_path / "run" / "index.html").read_text()
    table = page[page.index('<table class="alarms">') :].split("</table>")[0]
    assert table.count("was not finite") == MAX_ROLLBACKS + 1


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
    assert issues(run) == []
    assert [r["step"] for r in run.metrics() if "val_loss" in r] == [40, 81, 120]
