"""A recipe: everything that decides a training, in one frozen value.

TOML in, resolved JSON out. A recipe file holds the sections below; `--set family.beta=4` overrides one
value; the run keeps the recipe with every default written out. Options of plug-ins (a codec, a family,
a net) are theirs to declare and check; they stand here as plain values.
"""

from __future__ import annotations

import tomllib
import typing
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Annotated, Any, Literal

from annotated_types import Ge, Lt

from genwright.address import conceal
from genwright.errors import RecipeError, suggest
from genwright.options import Count, Natural, NonNegative, Positive, Share
from genwright.registry import check

__all__ = ["DataOptions", "Plugin", "Recipe", "TrainOptions", "for_so_long", "make_recipe"]

SEEDS = 2**63


@dataclass(frozen=True)
class DataOptions:
    """Where the data is and how it is split."""

    path: str = ""
    """A file, a folder, a built-in name, or the address of a database, which is kept without its password."""
    label: list[str] | str | None = None
    """Labels or columns that become conditions; None takes the class folders of pictures, "" none."""
    group: str | None = None
    """A label or column whose equal values never cross the split."""
    val: float = 0.1
    """Share held out to choose by."""
    test: float = 0.1
    """Share held out to judge by."""
    memory: dict[str, Any] | None = None
    """In what form the data was given from memory (None: it is files)."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "path", conceal(self.path))
        if not (0 <= self.val < 1 and 0 <= self.test < 1 and self.val + self.test < 1):
            raise RecipeError(
                f"data.val={self.val} and data.test={self.test} leave nothing to train on: "
                f"each must be 0 or more and their sum below 1",
                code="nothing-to-train-on",
            )


@dataclass(frozen=True)
class TrainOptions:
    """How long and how to train. None is decided by the family, the data and the machine (`budget`)."""

    steps: Count | None = None
    """Optimiser steps; not used when `minutes` is given. None: what ten minutes can do here, or less of
    little data."""
    minutes: Positive | None = None
    """Train for so long instead. Such a run cannot be repeated byte for byte."""
    batch_size: Count | None = None
    """Examples in a step, over all devices and accumulated parts. None: by the time there is, or the
    family's where steps are counted."""
    threads: Count | None = None
    """Threads of the processor to compute with. None: all, or as many as are free where time decides."""
    accumulate: Count = 1
    """Parts a step is made of, one after the other, where memory is short."""
    lr: Positive | None = None
    """Learning rate, in place of the family's: of its first phase, to which the others keep their ratio."""
    optimizer: Literal["auto", "adamw", "muon"] = "auto"
    """Muon takes the hidden matrices of Transformers and leaves the rest to AdamW."""
    weight_decay: NonNegative | None = None
    warmup: Share = 0.02
    """Share of training over which the rate grows."""
    decay: Literal["linear", "cosine", "none"] = "linear"
    """How the rate falls after the warm-up."""
    ema: Annotated[float, Ge(0), Lt(0.25)] = 0.05
    """Width of the weight average, as a share of the training so far; 0 is off."""
    clip: Positive = 1.0
    """Largest norm of the gradient."""
    precision: Literal["auto", "fp32", "bf16"] = "auto"
    """bf16 runs matrix products in bfloat16 (weights stay fp32); auto where it was measured to help."""
    device: str = "auto"
    checks: Natural = 10
    """How often in a training to measure the held-out loss, save, and draw samples."""
    save_minutes: Positive = 10.0
    """Save at least so often."""
    log_every: Count = 10
    """Steps between two lines of metrics.jsonl."""
    samples: Natural = 16
    """Examples drawn at each check."""
    cover: Natural | None = None
    """See at every so many checks how much of the data samples cover; 0 is never (none: at each where one
    pass of a network makes an example, at every fifth where an example is small)."""
    judge: Natural = 0
    """Judge samples at every so many checks, against the examples to choose by; 0 is never."""
    judge_examples: Count = 1000
    """How many to judge, at most."""
    keep: Literal["auto", "loss", "judge", "last"] = "auto"
    """Keep the weights with the least held-out loss, those whose samples the judge finds nearest to real
    ones (the least `kid`), or the last ones; auto: by the loss where the family has one."""

    @property
    def counted(self) -> int | None:
        """Steps, where these and not the time say how long it is."""
        return self.steps if self.minutes is None else None

    def __post_init__(self) -> None:
        if self.batch_size is not None and self.batch_size % self.accumulate:
            raise RecipeError(
                f"train.batch_size={self.batch_size} cannot be split evenly into "
                f"train.accumulate={self.accumulate} parts: choose a multiple of {self.accumulate}",
                code="uneven-batch",
            )
        if self.keep == "judge" and not self.judge:
            raise RecipeError(
                "train.keep=judge has nothing to go by: say how often to judge, e.g. --set train.judge=1",
                code="missing-option",
            )


@dataclass(frozen=True)
class Plugin:
    """A registered name and its options. "auto" leaves the choice to the plan."""

    name: str = "auto"
    options: dict[str, Any] = field(default_factory=dict)


PLUGINS = ("codec", "task", "bridge", "family", "net")


@dataclass(frozen=True)
class Recipe:
    """Data, codec, task, bridge, family, net, size, training and seed."""

    data: DataOptions = field(default_factory=DataOptions)
    codec: Plugin = field(default_factory=Plugin)
    task: Plugin = field(default_factory=Plugin)
    bridge: Plugin = field(default_factory=Plugin)
    family: Plugin = field(default_factory=Plugin)
    net: Plugin = field(default_factory=Plugin)
    train: TrainOptions = field(default_factory=TrainOptions)
    size: Literal["auto", "xs", "s", "m", "l"] = "auto"
    seed: Annotated[int, Ge(0), Lt(SEEDS)] = 0

    # -- in ------------------------------------------------------------------------------------

    @classmethod
    def read(cls, path: Path) -> Recipe:
        """From a TOML file. Raises `RecipeError` naming the file."""
        try:
            values = tomllib.loads(path.read_text(encoding="utf-8-sig"))
        except FileNotFoundError:
            raise RecipeError(
                f"there is no recipe at {path}: name a .toml file, or data", code="no-file"
            ) from None
        except OSError as error:
            raise RecipeError(
                f"the recipe {path} cannot be read: {error.strerror}", code="unreadable"
            ) from None
        except UnicodeDecodeError:
            raise RecipeError(
                f"{path} is not valid TOML: save it as text in UTF-8", code="invalid-toml"
            ) from None
        except (tomllib.TOMLDecodeError, RecursionError) as error:
            raise RecipeError(f"{path} is not valid TOML: {error}", code="invalid-toml") from None
        try:
            return cls.of(values)
        except RecipeError as error:
            raise RecipeError(f"{path}: {error}", code=error.code) from None

    @classmethod
    def of(cls, values: Mapping[str, Any]) -> Recipe:
        """From nested values, as they stand in TOML: a plug-in's options beside its `name`."""
        known = [f.name for f in fields(cls)]
        parts: dict[str, Any] = {}
        for name, value in values.items():
            if name not in known:
                raise RecipeError(f"unknown option {name!r}; {cls._near(name)}", code="unknown-option")
            if name in PLUGINS:
                parts[name] = cls._plugin(name, value)
            elif name == "data":
                parts[name] = DataOptions(**_checked(DataOptions, value, "data"))
            elif name == "train":
                parts[name] = TrainOptions(**_checked(TrainOptions, value, "train"))
        flat = {name: values[name] for name in ("size", "seed") if name in values}
        return cls(**parts, **_checked(cls, flat, ""))

    @classmethod
    def _near(cls, name: str) -> str:
        """What may have been meant: an option without its section, or a name like it."""
        for section, owner in (("data", DataOptions), ("train", TrainOptions)):
            if name in (f.name for f in fields(owner)):
                return f"did you mean '{section}.{name}'?"
        return suggest(name, [f.name for f in fields(cls)])

    @staticmethod
    def _plugin(name: str, value: Any) -> Plugin:
        if isinstance(value, str):  # `--set family=vae`
            return Plugin(value)
        if not isinstance(value, Mapping) or not isinstance(value.get("name", "auto"), str):
            raise RecipeError(
                f"{name} must be a section with a name and options, got {value!r}", code="wrong-type"
            )
        options = {key: v for key, v in value.items() if key != "name"}
        return Plugin(value.get("name", "auto"), options)

    def override(self, settings: Iterable[str]) -> Recipe:
        """With `a.b=c` settings applied; a value is read as TOML, or else as text."""
        values = self.toml()
        for setting in settings:
            key, equals, text = setting.partition("=")
            if not equals or not key.strip():
                raise RecipeError(f"--set takes NAME=VALUE, got {setting!r}", code="not-a-pair")
            place = values
            *path, last = key.strip().split(".")
            for part in path:
                place = place.setdefault(part, {})
                if not isinstance(place, dict):
                    raise RecipeError(
                        f"{key.strip()!r} is no option: {part!r} is a single value",
                        code="unknown-option",
                    )
            if last in PLUGINS and not path:
                place[last] = {"name": text.strip()}
            else:
                place[last] = _value(text.strip())
        return Recipe.of(values)

    # -- out -----------------------------------------------------------------------------------

    def toml(self) -> dict[str, Any]:
        """Nested values in the layout of a recipe file; None values left out."""
        values: dict[str, Any] = {"size": self.size, "seed": self.seed}
        for name in PLUGINS:
            plugin: Plugin = getattr(self, name)
            values[name] = {"name": plugin.name, **plugin.options}
        for name in ("data", "train"):
            values[name] = {k: v for k, v in asdict(getattr(self, name)).items() if v is not None}
        return values


def _checked(owner: type[Any], values: Any, where: str) -> dict[str, Any]:
    """Values of a section, checked against the fields of a dataclass."""
    if not isinstance(values, Mapping):
        raise RecipeError(f"{where} must be a section of options, got {values!r}", code="wrong-type")
    return check(values, typing.get_type_hints(owner, include_extras=True), where=where)


def _value(text: str) -> Any:
    """The value of `--set`: a number, a boolean, a list or a quoted text as in TOML, else plain text."""
    try:
        return tomllib.loads(f"value = {text}")["value"]
    except tomllib.TOMLDecodeError:
        return text


def make_recipe(
    data: str | Path,
    *,
    family: str | None = None,
    label: str | Sequence[str] | None = None,
    task: str | None = None,
    make: str | None = None,
    given: str | Sequence[str] | None = None,
    size: str | None = None,
    steps: int | None = None,
    minutes: float | None = None,
    seed: int | None = None,
    settings: Iterable[str] = (),
) -> Recipe:
    """The recipe for data or from a file, with the choices and then the settings applied."""
    from_file = Path(data).suffix == ".toml"
    values = (Recipe.read(Path(data)) if from_file else Recipe()).toml()
    if not from_file:
        values["data"]["path"] = str(data)
    if family is not None and family != values["family"]["name"]:
        values["family"] = {"name": family}
    if label is not None:
        values["data"]["label"] = label if isinstance(label, str) else list(label)
    if task is not None and task != values["task"]["name"]:
        values["task"] = {"name": task}
    if make is not None:
        values["task"]["make"] = make
    if given is not None:
        values["task"]["given"] = [given] if isinstance(given, str) else list(given)
    values |= {name: value for name, value in (("size", size), ("seed", seed)) if value is not None}
    return Recipe.of(for_so_long(values, steps, minutes)).override(settings)


def for_so_long(values: dict[str, Any], steps: int | None, minutes: float | None) -> dict[str, Any]:
    """A recipe's values with another length of training; one kind of length replaces the other."""
    if steps is not None and minutes is not None:
        raise RecipeError("give --steps or --minutes, not both", code="contradicting-options")
    train = dict(values["train"])
    if steps is not None:
        train |= {"steps": steps, "minutes": None}
    if minutes is not None:
        train |= {"minutes": minutes}
    return values | {"train": train}
