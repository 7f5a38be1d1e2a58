"""Every registered feature extractor keeps the contract of `genwright.testing`, and each law can be broken."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from genwright.errors import GenwrightError
from genwright.evaluation.extractors import learned
from genwright.evaluation.extractors.learned import PcaExtractor
from genwright.evaluation.extractors.pretrained import PretrainedExtractor
from genwright.registry import names, resolve
from genwright.space import Real, Space, Symbol
from genwright.testing import check_extractor
from genwright.testing.extractors import EXTRACTOR, FittedExtractor
from genwright.testing.spaces import SPACES

SOME = {name: SPACES[name] for name in ("row", "text", "level", "colour-image", "mixed-series")} | {
    "picture": Space((32, 32), (Real(3, bounded=True),)),
    "sound": Space((4000,), (Real(1, bounded=True),)),
}


@pytest.fixture(autouse=True)
def _brief(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(learned, "STEPS", 6)
    monkeypatch.setattr(learned, "BATCH", 16)


def decoded(space: Space) -> Any:
    """Texts of symbols, and waves of anything else."""
    if isinstance(space.spans[0], Symbol):
        return lambda x: ["".join(chr(97 + int(one)) for one in row.reshape(-1)) for row in x]
    return lambda x: [np.asarray(row).reshape(-1) for row in x]


@pytest.mark.parametrize("name", names("extractors"))
def test_an_extractor_keeps_the_contract(name: str) -> None:
    kind = resolve("extractors", name)
    if issubclass(kind, PretrainedExtractor):
        try:
            kind.file()
        except GenwrightError as error:
            pytest.skip(str(error))
    check_extractor(name, spaces=SOME, raw=decoded)


def faulty(law: str) -> type[Any]:
    """An extractor with one fault."""

    def call(self: Any, x: Any) -> Any:
        found = PcaExtractor.__call__(self, x)
        return {
            "features-are-rows-of-numbers": found.astype(np.float32),
            "an-example-decides-its-features": found - found.mean(0),
            "other-examples-are-refused": found,
        }[law]

    def fit(cls: Any, *given: Any) -> Any:
        torch.rand(())
        return PcaExtractor.fit.__func__(cls, *given)  # type: ignore[attr-defined]

    def restore(cls: Any, space: Any, weights: Any, raw: Any = None) -> Any:
        wrong = {name: 2 * tensor for name, tensor in weights.items()}
        return PcaExtractor.restore.__func__(cls, space, wrong, raw)  # type: ignore[attr-defined]

    def init(self: Any, *given: Any) -> None:
        PcaExtractor.__init__(self, *given)
        self.name = "pca-always"

    faults: dict[str, dict[str, Any]] = {
        "features-are-rows-of-numbers": {"__call__": call},
        "an-example-decides-its-features": {"__call__": call},
        "the-seed-decides": {"fit": classmethod(fit)},
        "its-name-tells-it": {"__init__": init},
        "weights-are-all": {"restore": classmethod(restore)},
        "other-examples-are-refused": {"__call__": lambda self, x: np.zeros((len(x), self.dim))},
    }
    return type("Faulty", (PcaExtractor,), faults[law])


@pytest.mark.parametrize("law", EXTRACTOR.laws)
def test_a_faulty_extractor_breaks_the_law(law: str) -> None:
    case = FittedExtractor(faulty(law), SPACES["row"])
    with pytest.raises(AssertionError, match=f"feature extractor faulty breaks the law '{law}'"):
        EXTRACTOR.hold(law, case, "faulty")


def test_an_extractor_that_suits_no_space_says_so() -> None:
    check_extractor(PcaExtractor, spaces={"row": SPACES["row"]})
    with pytest.raises(GenwrightError, match=r"looks at|not installed"):
        check_extractor("efficientnet", spaces={"row": SPACES["row"]})
