"""Texts from texts: verses translated, packages described in a line, answers in a dialogue, gaps of speeches.

    python benchmarks/texts.py data translate FOLDER verses.jsonl      FOLDER as `_text_data.py` says
    genwright train recipes/translate.toml --set data.path=verses.jsonl
    python benchmarks/texts.py judge RUN [--n 400] [--seed 0] [--beams 4] [--baselines]

data    `translate`, `summarise`, `dialogue`, `complete` or `names`: the files that a person would have
judge   what a run makes of held-out examples beside the right answers: chrF and ROUGE-L, greedy and by beam search, the
        same with what is given shuffled among the examples, and nats a character. With --baselines also what is given
        itself, its first sentence, word by word by the best of a table and by IBM model 1, and by phrases of both
gap     nats a symbol of a gap in the middle of held-out windows, by a run of the task `complete` (which is told both
        sides) or of `generate` (which knows the left side alone), with its 95 % interval; --beside RUN: by how much
        another one pays more for the same windows
"""

from __future__ import annotations

import argparse
import re
import time
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch

import genwright
from _report import say
from _text_data import prepared
from _word_tables import translations
from genwright.batch import Batch
from genwright.evaluation.baselines import ngram_nats
from genwright.families.anyorder import AnyOrder
from genwright.families.masked import Masked
from genwright.model import Model

Array = np.ndarray


# -- figures -----------------------------------------------------------------------------------------


def chrf(made: Sequence[str], true: Sequence[str]) -> float:
    """chrF2 of all texts together (Popovic 2015), as sacrebleu has it."""
    precisions, recalls = list[float](), list[float]()
    for n in range(1, 7):
        both = ours = theirs = 0
        for a, b in zip(made, true, strict=True):
            x, y = ("".join(text.split()) for text in (a, b))
            p, q = (Counter(t[i : i + n] for i in range(len(t) - n + 1)) for t in (x, y))
            both, theirs = both + sum((p & q).values()), theirs + sum(q.values())
            ours += sum(p.values()) if q else 0
        precisions.append(both / max(ours, 1))
        recalls.append(both / max(theirs, 1))
    p, r = np.mean(precisions), np.mean(recalls)
    return float(500 * p * r / max(4 * p + r, 1e-12))


def rouge_l(made: Sequence[str], true: Sequence[str]) -> float:
    """The mean F-measure of the longest common subsequence of words, out of 100 (Lin 2004)."""
    scores = []
    for a, b in zip(made, true, strict=True):
        x, y = (re.findall(r"[a-z0-9]+", text.lower()) for text in (a, b))
        row = [0] * (len(y) + 1)
        for word in x:
            before = row[:]
            for j, other in enumerate(y):
                row[j + 1] = before[j] + 1 if word == other else max(before[j + 1], row[j])
        scores.append(2 * row[-1] / max(len(x) + len(y), 1))
    return 100 * float(np.mean(scores))


def first_sentence(text: str) -> str:
    return re.split(r"(?<=[.!?])\s|\n", text.strip())[0]


# -- a run -------------------------------------------------------------------------------------------


def judge(model: Model, n: int, seed: int, beams: int, baselines: bool) -> None:
    pipeline, split = model.pipeline, model.dataset.splits["test"]
    (given,) = model.task.given
    numbers = np.random.default_rng(seed).permutation(len(split))[:n]
    asked, stored = pipeline.cases(split, numbers, torch.Generator().manual_seed(seed))
    true, source = pipeline.made.decode(stored.numpy()), list(asked.values[given])
    order = np.roll(np.arange(len(true)), 1)
    found: dict[str, list[str]] = {}
    for name, options, rows in (
        ("greedy", {"temperature": 0.0}, None),
        (f"{beams} beams", {"beams": beams}, None),
        ("shuffled", {"temperature": 0.0}, order),
    ):
        began, one = time.process_time(), asked
        if rows is not None:
            one = pipeline.chosen(asked, list(rows))
        found[name] = list(model.make(len(true), one, seed, options).examples)
        say(made=name, seconds=round(time.process_time() - began, 1), n=len(true))
    if baselines:
        train = model.dataset.splits["train"]
        arrays = train.gather(np.arange(len(train)), [given, pipeline.spec.make])
        fields = model.dataset.fields
        sides = [
            fields[name].decode(arrays[name].astype(np.int64)) for name in (given, pipeline.spec.make)
        ]
        found |= {"lead": [first_sentence(text) for text in source]}
        found |= translations(list(zip(*sides, strict=True)), source)
    for name, made in found.items():
        exact = np.mean([one == other for one, other in zip(made, true, strict=True)])
        say(
            answers=name,
            chrf=round(chrf(made, true), 2),
            rouge_l=round(rouge_l(made, true), 2),
            exact=round(float(exact), 3),
        )
    for i in range(3):
        print(f"  given   {source[i][:200]}\n  right   {true[i]}")
        print("\n".join(f"  {name:10} {made[i]}" for name, made in found.items()))
    nats, symbols = 0.0, 0
    for start in range(0, len(numbers), 64):
        batch = pipeline.batch(
            split, numbers[start : start + 64], torch.device("cpu"), torch.Generator()
        )
        with torch.no_grad():
            total, count = model.family.heldout(batch)
        nats, symbols = nats + float(total), symbols + int(count)
    train = model.dataset.splits["train"]
    made = [
        pipeline.stored(some, index).numpy()
        for some, index in ((train, np.arange(len(train))), (split, numbers))
    ]
    counted = {
        order: float(ngram_nats(*made, pipeline.made.space, order).sum()) for order in (1, 2, 3, 5)
    }
    least = min(counted, key=lambda order: counted[order])
    say(
        baseline=f"{least}-grams",
        nats_a_symbol=round(counted[least] / symbols, 3),
        perplexity=round(float(np.exp(counted[least] / symbols)), 2),
    )
    characters = sum(len(text) + 1 for text in true)
    say(
        nats_a_symbol=round(nats / symbols, 3),
        bits_a_character=round(nats / characters / np.log(2), 3),
        perplexity=round(float(np.exp(nats / symbols)), 2),
        n=len(numbers),
    )


# -- gaps --------------------------------------------------------------------------------------------


def gap(model: Model, n: int, seed: int, size: int) -> Array:
    """Bits a symbol of a gap in the middle of each of some windows `(n,)`, given what stands beside it."""
    pipeline, split, family = model.pipeline, model.dataset.splits["test"], model.family
    numbers = np.random.default_rng(seed).permutation(len(split))[:n]
    length = pipeline.made.space.grid[0]
    inside = torch.zeros(length, dtype=torch.bool)
    inside[(length - size) // 2 : (length + size) // 2] = True
    nats = list[float]()
    for start in range(0, len(numbers), 32):
        example = pipeline.example(split, numbers[start : start + 32], torch.device("cpu"))
        x = example[pipeline.spec.make]
        known = (~inside).expand_as(x)
        with torch.no_grad():
            if isinstance(family, AnyOrder):
                nats += (-family.log_prob_of_gaps(Batch(x, {}), known)).tolist()
                continue
            if isinstance(family, Masked):
                nats += _by_chain(family, x, inside).tolist()
                continue
            request = pipeline.task.request(len(x), {pipeline.spec.make: (x, known)}, torch.Generator())
            mask = inside.expand(len(x), -1)
            nats += (-family.log_prob(Batch(x, request.cond, mask))).tolist()
    return np.array(nats) / (size * np.log(2))


def about(bits: Array) -> list[float]:
    """The mean and its 95 % interval."""
    mean, error = bits.mean(), 1.96 * bits.std(ddof=1) / len(bits) ** 0.5
    return [round(float(value), 3) for value in (mean, mean - error, mean + error)]


def _by_chain(family: Masked, x: torch.Tensor, inside: torch.Tensor) -> torch.Tensor:
    """The gap from left to right, each symbol given those before it and all that stands outside."""
    ids = family._flat(x)
    total = torch.zeros(len(ids))
    cond = family.conditioner({}, len(ids), x)
    for place in torch.nonzero(inside).flatten().tolist():
        hidden = (inside & (torch.arange(len(inside)) >= place)).expand_as(ids)
        asked = (torch.arange(len(inside)) == place).expand_as(ids)
        total += family._nats(ids, asked, cond, (ids, hidden)).sum(1)
    return total


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    verbs = parser.add_subparsers(dest="verb", required=True)
    data = verbs.add_parser("data")
    data.add_argument("what", choices=["translate", "summarise", "dialogue", "complete", "names"])
    data.add_argument("folder", type=Path)
    data.add_argument("file", type=Path)
    for name in ("judge", "gap"):
        verb = verbs.add_parser(name)
        verb.add_argument("run", type=Path)
        verb.add_argument("--n", type=int, default=400)
        verb.add_argument("--seed", type=int, default=0)
        verb.add_argument("--beams", type=int, default=4)
        verb.add_argument("--size", type=int, default=16)
        verb.add_argument("--baselines", action="store_true")
        verb.add_argument("--beside", type=Path, help="another run on the same windows")
    args = parser.parse_args()
    if args.verb == "data":
        print(prepared(args.what, args.folder, args.file))
        return
    model = genwright.load(args.run)
    if args.verb == "judge":
        judge(model, args.n, args.seed, args.beams, args.baselines)
    else:
        bits = gap(model, args.n, args.seed, args.size)
        found = {"bits_a_symbol": about(bits)}
        if args.beside is not None:
            other = gap(genwright.load(args.beside), args.n, args.seed, args.size)
            found |= {"beside": about(other), "more": about(other - bits)}
        say(**found, gap=args.size, n=len(bits))


if __name__ == "__main__":
    main()
