"""From files to a step: how far it is, and that nothing on the way is made twice."""

from __future__ import annotations

import functools
import re
import sys
import traceback
from pathlib import Path
from types import CodeType
from typing import Any

import pytest
import torch

import genwright
from genwright import experiment
from genwright.data.codec import Codec
from genwright.data.image.codec import ImageCodec
from genwright.evaluation.extractors import learned
from genwright.families.vae import VAE
from genwright.model import Model
from genwright.tasks.base import Task
from snippets import ROOT

PACKAGE = Path(genwright.__file__).parent
MOST = 9
"""Functions from `genwright.train` to the loss, both among them."""
SETTINGS = ("train.checks=1", "train.samples=2")


def trained(*settings: str) -> Model:
    return genwright.train(
        "digits", family="vae", size="xs", steps=1, out="run", settings=[*SETTINGS, *settings]
    )


def roads(patch: pytest.MonkeyPatch, owner: type, name: str) -> list[list[str]]:
    """For each call of a method from now on, the functions of the package on the stack, outermost first."""
    plain, found = getattr(owner, name), list[list[str]]()

    @functools.wraps(plain)
    def method(self: Any, *args: Any, **kwargs: Any) -> Any:
        stack = [frame.f_code for frame, _ in traceback.walk_stack(sys._getframe(1))][::-1]
        within = [code for code in stack if Path(code.co_filename).is_relative_to(PACKAGE)]
        found.append([full_name(code) for code in (*within, plain.__code__)])
        return plain(self, *args, **kwargs)

    patch.setattr(owner, name, method)
    return found


def full_name(code: CodeType) -> str:
    """That of `train` in `genwright/api.py` is `api.train`."""
    path = Path(code.co_filename).relative_to(PACKAGE).with_suffix("")
    return f"{'.'.join(path.parts)}.{code.co_qualname}"


def tables() -> list[list[str]]:
    """The functions that each table of "From files to a step" names, in the page on how genwright is built."""
    page = (ROOT / "docs/index.md").read_text(encoding="utf-8")
    section = page.partition("\n## From files to a step\n")[2].partition("\n## ")[0]
    return [re.findall(r"^\| `([\w.]+)` \|", part, re.M) for part in section.split("\n### ")[1:]]


def test_it_is_not_far_from_files_to_a_step_and_the_page_says_how_far(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("GENWRIGHT_CACHE", str(tmp_path / "cache"))
    read, view = roads(monkeypatch, ImageCodec, "read"), roads(monkeypatch, Task, "view")
    loss = roads(monkeypatch, VAE, "loss")
    trained()
    assert (loss[0][0], loss[0][-1]) == ("api.train", "families.vae.VAE.loss")
    assert len(loss[0]) <= MOST, loss[0]
    in_step = next(road for road in view if loss[0][-2] in road)
    batch = in_step[in_step.index(loss[0][-2]) + 1 :]
    assert tables() == [read[0], loss[0], batch]


@pytest.mark.parametrize("settings", [(), ("train.judge=1", "train.judge_examples=64")])
def test_a_training_builds_one_codec_and_opens_its_data_once(
    settings: tuple[str, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    built, opened = list[Codec](), list[object]()
    make, prepare = ImageCodec.__init__, experiment.prepare

    @functools.wraps(make)
    def init(self: ImageCodec, **options: Any) -> None:
        built.append(self)
        make(self, **options)

    def preparing(*args: Any, **options: Any) -> Any:
        opened.append(args[0])
        return prepare(*args, **options)

    monkeypatch.setattr(ImageCodec, "__init__", init)
    monkeypatch.setattr(experiment, "prepare", preparing)
    monkeypatch.setattr(learned, "STEPS", 6)
    model = trained(*settings)
    assert model.sample(2).codec is model.dataset.codec is built[0]
    assert (len(built), len(opened)) == (1, 1)
    # What comes back is what the run holds.
    again = genwright.load("run")
    assert again.pipeline.codec is not built[0]
    same = zip(model.sample(3).examples, again.sample(3).examples, strict=True)
    assert all((one == other).all() for one, other in same)
    assert all(map(torch.equal, model.family.parameters(), again.family.parameters()))
