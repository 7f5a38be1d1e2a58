"""A comparison from its beginning to its table.

What is done is written into the ledger at once, and whatever stands there is not done again: so a comparison that was
killed goes on where it was. The number of steps of each training is decided before the first begins, so that it
does not matter where they run, how many at a time, or how busy the machine is.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

from genwright.comparing.bracket import AIM, Bracket, Price, RefusedFamily, plan_bracket
from genwright.comparing.candidates import candidates
from genwright.comparing.executors import Executor
from genwright.comparing.judge import Judge
from genwright.comparing.leaderboard import TRAINED, Contender, Leaderboard, leaderboard, pooled
from genwright.comparing.ledger import Ledger
from genwright.comparing.pricing import (
    misfit,
    price,
    remember,
    remembered,
    settled,
    with_context,
)
from genwright.errors import GenwrightError, Incompatible, RecipeError, RunError
from genwright.evaluation.results import EvaluationReport
from genwright.experiment import open_data
from genwright.recipe import Plugin, Recipe
from genwright.registry import names, resolve
from genwright.report import evaluation_page
from genwright.report.leaderboard_page import write as write_page
from genwright.storage.durable import digest
from genwright.storage.manifest import MANIFEST
from genwright.storage.run import Run

__all__ = ["Comparison"]

OVER = 1.03
"""Of the time: no training is begun after it."""
SLACK, LEAST_LIMIT = 2.0, 60.0
"""Of the work that a training was planned with, how much it may take; and seconds beside that."""


@dataclass(frozen=True)
class Plan:
    """What a comparison will do: the recipe of each candidate, the bracket, and whom it leaves out."""

    recipes: dict[str, dict[str, Any]]
    bracket: Bracket
    refused: list[RefusedFamily]

    @classmethod
    def of(cls, known: dict[str, Any]) -> Plan:
        bracket = dict(known["bracket"])
        bracket["refused"] = [RefusedFamily(**one) for one in bracket["refused"]]
        return cls(
            known["recipes"], Bracket(**bracket), [RefusedFamily(**one) for one in known["refused"]]
        )


class Comparison:
    """Families on one data set.

    asked     the recipe, in which the family is left open
    minutes   of work, for everything together
    families  which (None: every one that fits)
    seeds     trainings of each that comes to the end
    n         the most examples to judge by
    say       is told in a sentence what has been done
    since     the time of this process from which on its work is counted (None: now)
    varied    settings with their values, such as `train.lr=0.001,0.003`: each family takes part with each
    Raises `DataError`, `RecipeError` or `Incompatible` for what cannot be compared.
    """

    def __init__(
        self,
        asked: Recipe,
        minutes: float,
        families: Sequence[str] | None,
        seeds: int,
        n: int,
        say: Callable[[str], None] = lambda words: None,
        since: float | None = None,
        varied: Sequence[str] = (),
    ) -> None:
        self._began = time.process_time() if since is None else since
        self.asked, self.seconds, self.seeds, self.n, self.say = asked, 60 * minutes, seeds, n, say
        self.families = list(dict.fromkeys(families)) if families is not None else None
        for name in self.families or ():
            resolve("families", name)
        if asked.train.steps is not None or asked.train.minutes is not None:
            raise RecipeError(
                "every family gets as much time as the others: leave train.steps and train.minutes out, and say "
                "--minutes for all of them together",
                code="contradicting-options",
            )
        self.recipe, self.dataset = open_data(asked)
        wanted = self.families if self.families is not None else names("families")
        self.misfits = [
            RefusedFamily(f, why) for f in wanted if (why := misfit(self.recipe, self.dataset, f))
        ]
        self.fitting = [f for f in wanted if f not in [one.family for one in self.misfits]]
        if not self.fitting:
            raise Incompatible(f"no family fits: {_listed(self.misfits)}", code="no-family-fits")
        self.candidates = candidates(self.fitting, varied)
        self.about = {
            "data": self.dataset.key,
            "recipe": asked.toml(),
            "minutes": minutes,
            "families": self.families,
            "seeds": seeds,
            "n": n,
        } | ({"varied": [*varied]} if varied else {})

    def run(self, ledger: Ledger, executor: Executor) -> Leaderboard:
        """Do what is not done yet, and write the table."""
        self.ledger, self.folder, self.executor = ledger, ledger.folder, executor
        with ledger.lock():
            self._count("opened", time.process_time() - self._began)
            self._settle_examples()
            self.judge = Judge(self.recipe, self.dataset, self.n)
            self.plan = self._planned()
            self._train()
            table = self._table(self._company())
            self._write(table)
        return replace(table, folder=self.folder)

    def _settle_examples(self) -> None:
        """Of a stream, how long an example is: the same for all, or they could not be judged by one measure."""
        known = self.ledger.read("examples") or remembered(self.about | {"of": "examples"})
        if known is None:
            known = asdict(with_context(self.recipe, self.dataset, self.seconds).codec)
            remember(self.about | {"of": "examples"}, known)
        self.ledger.write("examples", known)
        if known != asdict(self.recipe.codec):
            self.recipe, self.dataset = open_data(replace(self.asked, codec=Plugin(**known)))

    def _count(self, name: str, work: float) -> None:
        """Write down seconds of work that belong to no training, once for each time that it was gone on with."""
        number = 1
        while self.ledger.read(f"{name}-{number}") is not None:
            number += 1
        self.ledger.write(f"{name}-{number}", {"work": work})

    # -- before the first training -----------------------------------------------------------------

    def _company(self) -> EvaluationReport:
        """What every model is held against, measured once."""
        path = self.folder / "company"
        if self.ledger.read("company") is None:
            began = time.process_time()
            report = self.judge.company()
            evaluation_page.write(report, path)
            work = time.process_time() - began
            self.ledger.write("company", {"work": work})
            self.say(f"measured the floor, the copycat and the baselines ({work:.0f} s)")
        return evaluation_page.read(path / "report.json")

    def _planned(self) -> Plan:
        known = self.ledger.read("plan")
        if known is None:
            known, work = remembered(self.about), 0.0
            if known is None:
                self._company()
                began = time.process_time()
                known = asdict(self._made_plan())
                remember(self.about, known)
                work = time.process_time() - began
            self.ledger.write("plan", known | {"work": work})
        plan = Plan.of(known)
        bracket = plan.bracket
        cuts = f", cut after {bracket.rungs[0]:.0%}" if len(bracket.rungs) > 1 else ""
        self.say(
            f"{len(bracket.steps)} candidates of {bracket.seconds:.0f} s of work each{cuts}: "
            f"{', '.join(bracket.steps)}"
        )
        return plan

    def _made_plan(self) -> Plan:
        """Prices measured, and the bracket that follows from them."""
        began = time.process_time()
        self.judge.company()  # as a model costs whose company is known
        judging = time.process_time() - began
        refused = list(self.misfits)
        share = AIM * self.seconds / len(self.candidates)
        recipes: dict[str, Recipe] = {}
        prices: dict[str, Price] = {}
        unpriced = 0

        def available() -> float:
            return AIM * self.seconds - (self.ledger.seconds + time.process_time() - began)

        for number, one in enumerate(self.candidates):
            if (
                prices and available() <= 0
            ):  # none can be trained; how much is wanted does not need all prices
                unpriced = len(self.candidates) - number
                break
            try:
                found = settled(self.recipe, self.dataset, one, share)
                prices[one.name] = price(found, self.judge, judging)
                recipes[one.name] = found
            except GenwrightError as error:
                refused.append(RefusedFamily(one.name, str(error)))
        if not recipes:
            raise Incompatible(f"no family can be trained: {_listed(refused)}", code="no-family-fits")
        each = (time.process_time() - began) / (len(self.candidates) - unpriced)
        bracket = plan_bracket(
            prices, available() - unpriced * each, self.seeds, chooses=self.judge.chooses
        )
        return Plan({name: one.toml() for name, one in recipes.items()}, bracket, refused)

    # -- trainings ---------------------------------------------------------------------------------

    def _train(self) -> None:
        """Rung by rung: train, look, and let the better half go on. What no training waits for is done when these have
        begun, since they may run elsewhere."""
        bracket, alive = self.plan.bracket, list(self.plan.bracket.steps)
        meanwhile: list[Callable[[], object]] = [self._company]
        for rung in range(len(bracket.rungs)):
            last = rung == len(bracket.rungs) - 1
            wanted = [(name, k) for name in alive for k in range(self.seeds if last else 1)]
            tasks = [self._task(name, k, rung) for name, k in wanted]
            todo = [task for task in tasks if self.ledger.read(task["name"]) is None]
            for task in tasks:
                if task not in todo:
                    self._look(task, last)
            for task, answer in self._answers(todo, meanwhile):
                answer.pop("each", None)  # of no use but for a price
                self.ledger.write(task["name"], answer)
                self._look(task, last)
            if not last:
                kept = self._better(alive, rung, bracket.places[rung + 1])
                out = [name for name in alive if name not in kept]
                meanwhile = [partial(self._judge_early, name, rung) for name in out]
                alive = kept

    def _answers(
        self, tasks: Sequence[dict[str, Any]], meanwhile: Sequence[Callable[[], object]]
    ) -> Iterator[tuple[Any, dict[str, Any]]]:
        """Tasks with their answers, as long as there is time.

        meanwhile  what else there is to do, once they have begun
        """
        answers = self.executor.run(tasks)
        for one in meanwhile:
            one()
        left = [task["name"] for task in tasks]
        for task, answer in answers:
            left.remove(task["name"])
            yield task, answer
            if left and self.ledger.seconds > OVER * self.seconds:
                break
        error = {
            "code": "overtime",
            "words": "the time was over before its turn: others took longer than planned",
        }
        for task in tasks:
            if task["name"] in left:
                yield task, {"error": error, "work": 0.0}

    def _task(self, name: str, k: int, rung: int) -> dict[str, Any]:
        recipe, bracket = Recipe.of(self.plan.recipes[name]), self.plan.bracket
        train = replace(recipe.train, steps=bracket.steps[name])
        recipe = replace(recipe, train=train, seed=recipe.seed + k)
        return {
            "name": f"{name}/{k}/{rung}",
            "run": str(self._run(name, k)),
            "recipe": recipe.toml(),
            "until": bracket.until(name, rung),
            "limit": SLACK * bracket.seconds + LEAST_LIMIT,
        }

    def _run(self, name: str, k: int) -> Path:
        return self.folder / "runs" / (name if k == 0 else f"{name}-seed-{self.recipe.seed + k}")

    def _look(self, task: dict[str, Any], last: bool) -> None:
        """Judge what has been trained to the end, and see how far the others have come."""
        name, what = task["name"], "judged" if last else "chosen"
        answer = self.ledger.read(name)
        if "error" in answer or self.ledger.read(f"{name}/{what}") is not None:
            return
        if last:
            self._judge(name, Path(task["run"]))
            return
        found, work = _tried(lambda: {"value": self.judge.choose(Path(task["run"]))})
        self.ledger.write(f"{name}/chosen", found | {"work": work})
        self.say(f"{_named(name)}: step {answer['step']:,} after {answer['worked']:.0f} s of work")

    def _judge(self, name: str, run: Path) -> None:
        """The verdict on a run, whose figures lie in it from then on."""
        if self.ledger.read(f"{name}/judged") is not None:
            return
        found, work = _tried(lambda: {"seconds_per_1000": self.judge(run).seconds_per_1000})
        self.ledger.write(f"{name}/judged", found | {"work": work})
        answer = self.ledger.read(name)
        self.say(
            f"{_named(name)}: judged at step {answer['step']:,}, after {answer['worked']:.0f} s of work"
        )

    def _judge_early(self, name: str, rung: int) -> None:
        """The verdict on one that goes on no further, as it is."""
        if "error" not in self.ledger.read(f"{name}/0/{rung}"):
            self._judge(f"{name}/0/{rung}", self._run(name, 0))

    def _better(self, alive: list[str], rung: int, n: int) -> list[str]:
        """The candidates that go on, in their old order."""
        chosen = {name: self.ledger.read(f"{name}/0/{rung}/chosen") for name in alive}
        values = {name: one.get("value", math.inf) for name, one in chosen.items() if one is not None}
        kept = sorted(values, key=lambda name: (values[name], name))[:n]
        return [name for name in alive if name in kept]

    # -- the table ---------------------------------------------------------------------------------

    def _table(self, company: EvaluationReport) -> Leaderboard:
        judged: list[tuple[Contender, EvaluationReport]] = []
        others = [Contender(one.family, one.family, "refused", one.cause) for one in
                  (*self.plan.refused, *self.plan.bracket.refused)]  # fmt: skip
        for name in self.plan.bracket.steps:
            row, reports = self._row(name)
            if reports:
                judged.append((row, pooled(name, reports)))
            else:
                others.append(row)
        return leaderboard(judged, others, company)

    def _row(self, name: str) -> tuple[Contender, list[EvaluationReport]]:
        """A candidate's row, with the report of each of its trainings."""
        recipe, last = Recipe.of(self.plan.recipes[name]), len(self.plan.bracket.rungs) - 1
        row = Contender(name, recipe.family.name, TRAINED, run=f"runs/{self._run(name, 0).name}")
        rung = max(r for r in range(last + 1) if self.ledger.read(f"{name}/0/{r}") is not None)
        keys = [f"{name}/{k}/{rung}" for k in range(self.seeds if rung == last else 1)]
        answers = [self.ledger.read(key) for key in keys]
        looked = [self.ledger.read(f"{key}/judged") or {} for key in keys]
        errors = [one["error"] for one in (*answers, *looked) if one.get("error")]
        if errors:
            late = errors[0]["code"] == "overtime"
            outcome = "timed out" if late else "failed"
            there = row.run if (self._run(name, 0) / MANIFEST).exists() else None
            return replace(row, outcome=outcome, cause=errors[0]["words"], run=there), []
        runs = [self._run(name, k) for k in range(len(keys))]
        for run, answer in zip(runs, answers, strict=True):
            self._check_unchanged(run, answer)
        if rung < last:
            share = self.plan.bracket.rungs[rung]
            cause = f"stopped at {share:.0%} of a whole training: others were nearer to real examples by then"
            row = replace(row, outcome="stopped early", cause=cause)
        alarms = [words for answer in answers for words in answer["alarms"]]
        about = {
            "size": recipe.size,
            **({"settings": [*settings]} if (settings := self._settings(name)) else {}),
            "steps": answers[0]["step"],
            "runs": [f"runs/{run.name}" for run in runs],
            "seconds_to_train": sum(a["worked"] for a in answers) / len(answers),
            "seconds_per_1000": sum(one["seconds_per_1000"] for one in looked) / len(looked),
            "megabytes": answers[0]["bytes"] / 1e6,
            "guard": "; ".join(dict.fromkeys(alarms)) or "nothing",
        }
        return replace(row, about=about), [
            evaluation_page.read(run / "judge" / "report.json") for run in runs
        ]

    def _settings(self, name: str) -> tuple[str, ...]:
        return next((one.settings for one in self.candidates if one.name == name), ())

    def _check_unchanged(self, run: Path, answer: dict[str, Any]) -> None:
        """Raise `RunError` where a run is not what the comparison has left."""
        found = digest(run / MANIFEST).sha256 if (run / MANIFEST).exists() else ""
        if found != answer["manifest"]:
            raise RunError(
                f"{run} has changed since it was trained for the comparison in {self.folder}: put it back as it "
                f"was, or compare anew with another --out",
                code="run-changed",
            )
        if Run.open(run).codec["data"] != self.dataset.key:
            raise RunError(
                f"{run} was trained on other data than lie at {self.recipe.data.path} here: put the same data on "
                f"every machine",
                code="data-changed",
            )

    def _write(self, table: Leaderboard) -> None:
        facts = {
            "data": f"{self.recipe.data.path}: {self.dataset.stats.counts['train']:,} to train on",
            "budget": f"{self.seconds / 60:g} minutes of work; {self.ledger.seconds / 60:.1f} were used",
            "each training": f"{self.plan.bracket.seconds:.0f} s of work",
            "trainings of each": str(self.seeds),
        }
        write_page(table.json(), table.results, facts, self.folder)


def _tried(look: Callable[[], dict[str, Any]]) -> tuple[dict[str, Any], float]:
    """What it gives, or the error that ended it, and the seconds of work. What breaks, perhaps in a family of
    another package, ends no comparison."""
    began = time.process_time()
    try:
        found = look()
    except GenwrightError as error:
        found = {"error": {"code": error.code, "words": str(error)}}
    except Exception as error:
        found = {"error": {"code": "internal", "words": f"{type(error).__name__}: {error}"}}
    return found, time.process_time() - began


def _listed(refused: Sequence[RefusedFamily]) -> str:
    return "; ".join(f"{one.family}: {one.cause}" for one in refused)


def _named(entry: str) -> str:
    """`vae/1/0` as a person reads it."""
    name, k, _ = entry.rsplit("/", 2)
    return name if k == "0" else f"{name} (training {int(k) + 1})"
