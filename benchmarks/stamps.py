"""Captions of drawings and photos never seen, and pictures from captions.

    python benchmarks/stamps.py caption STAMPS --steps 1500
    python benchmarks/stamps.py draw STAMPS --steps 3000

STAMPS is the folder `usr/share/tuxpaint/stamps` of the Debian package `tuxpaint-stamps-default` (GPL-2): some 750
pictures with an English caption of at most 60 characters in the first line of the `.txt` beside each. Whole pictures
are brought to a square on white; the concept of one is the first folder that it lies in (animals, symbols, town, ...).

`rank` is the share of 50 wrong captions that come before the right one by the model's likelihood, less how likely a
caption is under other pictures; half of it is chance. A caption is brought to a concept by a linear classifier of
words and parts of words, a picture by one of colours and edges, both of which have seen the training examples alone.
Each figure stands beside the one with what is given shuffled, and that of the real ones.

With `--more CLIPART` pictures of another's, named by their files, are learnt from as well and judged by no one:
`usr/share/openclipart/png` of the Debian package `openclipart-png` (public domain).
"""

from __future__ import annotations

import argparse
import re
import tempfile
import time
from collections import Counter
from collections.abc import Container
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

import genwright
from _report import say
from genwright.data.dataset import Dataset
from genwright.evaluation import inputs
from genwright.evaluation.metrics.answers import RetrievalRank
from genwright.model import Model
from pairs import answers, share

Array = np.ndarray
LONGEST = 60
"""Characters of a caption: a few are texts of several sentences."""
ABSTRACT = ("buttons", "computer", "logos", "shapes", "special")
"""Folders of clip art that shows no things."""
MOST_BYTES = 1 << 20


def prepared(stamps: Path, folder: Path, side: int) -> tuple[Path, dict[str, str]]:
    """Pictures with a `.txt` of the same stem, and the concept of each caption."""
    out, concepts = folder / "stamps", dict[str, Counter[str]]()
    out.mkdir()
    for i, path in enumerate(sorted(stamps.rglob("*.png"))):
        text = path.with_suffix(".txt")
        lines = text.read_text(encoding="utf-8", errors="replace").splitlines() if text.exists() else []
        if not lines or not 0 < len(lines[0].strip()) <= LONGEST:
            continue
        caption = lines[0].strip()
        concepts.setdefault(caption, Counter())[path.relative_to(stamps).parts[0]] += 1
        write_pair(path, caption, out / f"{i:04d}.png", side)
    return out, {caption: found.most_common(1)[0][0] for caption, found in concepts.items()}


def write_pair(path: Path, caption: str, out: Path, side: int) -> None:
    """A picture on a white square, and its caption beside it."""
    with Image.open(path) as image:
        whole = image.convert("RGBA")
    whole.thumbnail((side, side), Image.Resampling.LANCZOS)
    square = Image.new("RGB", (side, side), "white")
    square.paste(whole, ((side - whole.width) // 2, (side - whole.height) // 2), whole)
    square.save(out)
    out.with_suffix(".txt").write_text(caption, encoding="utf-8")


def only_of(dataset: Dataset, captions: Container[str]) -> None:
    """Leave examples of these captions alone in each part."""
    for part, split in dataset.splits.items():
        said = dataset.fields["caption"].decode(np.asarray(split.arrays["caption"]).astype(np.int64))
        kept = np.flatnonzero([one in captions for one in said])
        arrays = {name: np.asarray(array[kept]) for name, array in split.arrays.items()}
        dataset.splits[part] = replace(split, arrays=arrays)


def named_by_file(clipart: Path, out: Path, taken: set[str], side: int) -> None:
    """Further pictures, with the words of their file's name and its folder's as a caption."""
    paths = [
        path
        for path in sorted(clipart.rglob("*.png"))
        if path.relative_to(clipart).parts[0] not in ABSTRACT and path.stat().st_size < MOST_BYTES
    ]
    stems = [re.findall(r"[^\W_]+", path.stem.lower()) for path in paths]
    ends = Counter(tuple(stem[-3:-1]) for stem in stems if stem[-1].isdigit() and len(stem) > 3)
    for i, (path, stem) in enumerate(zip(paths, stems, strict=True)):
        makers = stem[-1].isdigit() and ends[tuple(stem[-3:-1])] >= 3
        words = [word for word in (stem[:-3] if makers else stem) if re.fullmatch(r"[a-z]{3,}", word)]
        caption = " ".join(dict.fromkeys([*words, *path.parent.name.split("_")]))
        if words and len(caption) <= LONGEST and " ".join(words) not in taken:
            write_pair(path, caption, out / f"more{i:04d}.png", side)


def looks(pictures: list[Array]) -> Array:
    """Colours and edges of each picture at 8 x 8 places."""
    found = []
    for x in pictures:
        grey = x.astype(np.float64).mean(2)
        down, across = (
            np.abs(np.diff(grey, axis=0, append=255)),
            np.abs(np.diff(grey, axis=1, append=255)),
        )
        parts = [*np.moveaxis(x.astype(np.float64), 2, 0), down, across]
        step = x.shape[0] // 8
        found.append(np.concatenate([p.reshape(8, step, 8, step).mean((1, 3)).ravel() for p in parts]))
    return np.stack(found)


def recognised(model: Model, concepts: dict[str, str], kind: str, made: Any) -> float:
    """The share whose concept is found by a classifier of the training examples."""
    dataset = model.dataset
    split = dataset.splits["train"]
    real = split.gather(np.arange(len(split)))
    captions = dataset.fields["caption"].decode(real["caption"].astype(np.int64))
    truth = [concepts.get(caption, "") for caption in captions]
    if kind == "words":
        judge = make_pipeline(TfidfVectorizer(analyzer="char_wb", ngram_range=(2, 4)), _linear())
        judge.fit(captions, truth)
    else:
        judge = make_pipeline(StandardScaler(), _linear(C=0.003))
        judge.fit(looks([x.transpose(1, 2, 0) for x in real["image"]]), truth)
        made = [(looks(some), wanted) for some, wanted in made]
    return [share(list(judge.predict(some)), wanted) for some, wanted in made]


def _linear(C: float = 10.0) -> LogisticRegression:  # noqa: N803 - as scikit-learn has it
    return LogisticRegression(C=C, max_iter=2000, class_weight=None)


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    options.add_argument("what", choices=["caption", "draw"])
    options.add_argument("stamps", type=Path)
    options.add_argument("--side", type=int, default=32)
    options.add_argument("--size", default="xs")
    options.add_argument("--steps", type=int, default=1500)
    options.add_argument("--guidance", type=float, default=3.0)
    options.add_argument("--val", type=float, default=0.05)
    options.add_argument("--more", type=Path)
    options.add_argument("--seed", type=int, default=0)
    options.add_argument("--set", nargs="*", default=[])
    args = options.parse_args()
    caption = args.what == "caption"
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        path, concepts = prepared(args.stamps, folder, args.side)
        if args.more:
            named_by_file(args.more, path, {caption.lower() for caption in concepts}, args.side)
        began = time.process_time()
        model = genwright.train(
            path,
            family="autoregressive" if caption else "diffusion",
            make="caption" if caption else "image",
            given="image" if caption else "caption",
            label="",
            size=args.size,
            steps=args.steps,
            seed=args.seed,
            settings=[f"codec.size={args.side}", f"data.val={args.val}", "data.test=0.15", *args.set],
            out=folder / "run",
        )
        minutes = round((time.process_time() - began) / 60, 1)
        if args.more:
            only_of(model.dataset, concepts)
        counts = Counter(concepts[c] for c in concepts)
        found: dict[str, Any] = {
            "cpu_minutes": minutes,
            "steps": model.run.step,
            "best": model.run.best,
            "often": round(counts.most_common(1)[0][1] / counts.total(), 3),
        }
        if caption:
            made, shuffled, truth, _ = answers(model, args.seed, temperature=0.0)
            wanted = [concepts[t] for t in truth]
            names = recognised(
                model, concepts, "words", [(made, wanted), (shuffled, wanted), (truth, wanted)]
            )
            evidence = inputs.of_run(model, 2000, args.seed, extractor="pca").evidence
            for name, debiased in (("rank", True), ("rank_plain", False)):
                rank = RetrievalRank(debiased=debiased).read(evidence)
                found[name] = [round(v, 4) for v in (rank.value, rank.low, rank.high)]
            found["made"] = list(zip(made[:8], truth[:8], strict=True))
        else:
            made, shuffled, truth, given = answers(model, args.seed, guidance_scale=args.guidance)
            wanted = [concepts[t] for t in given["caption"]]
            names = recognised(
                model, concepts, "looks", [(made, wanted), (shuffled, wanted), (truth, wanted)]
            )
        found["n"] = len(truth)
        found |= dict(zip(("concept", "shuffled", "real"), (round(x, 3) for x in names), strict=True))
        torch.set_num_threads(1)
        say(benchmark="stamps", what=args.what, **found)


if __name__ == "__main__":
    main()
