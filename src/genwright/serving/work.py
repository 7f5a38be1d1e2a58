"""What the engine does for a request: new examples, what a model makes of a file, a way through latent codes."""

from __future__ import annotations

import io
import json
import os
import time
from base64 import b64encode
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from genwright.analysis.latent_edit import LatentEditor
from genwright.applying import Application
from genwright.data.codec import Rejected
from genwright.data.preview import as_html
from genwright.errors import GenwrightError
from genwright.families.drafts import Draft
from genwright.model import Samples
from genwright.pipeline import Asked
from genwright.serving.channel import Channel, Event
from genwright.serving.engine import Abandoned, Work
from genwright.serving.refusal import HttpRefusal
from genwright.serving.results import archive, as_examples, made_cells, media_type, previews, texts_of
from genwright.serving.served import ServedRun

__all__ = ["ApplyWork", "EditWork", "SampleWork", "Wanted"]

BETWEEN = 0.1
"""Seconds between two drafts, at least."""
SHARE = 5
"""Times as long as a draft takes to show until the next: so they cost a fifth of the sampling at most."""


@dataclass(frozen=True)
class Wanted:
    """What an answer is to hold.

    drafts    what the sampler has on its way
    previews  HTML beside the JSON
    zipped    a ZIP with the files of the command line, instead
    """

    drafts: bool = False
    previews: bool = False
    zipped: bool = False


class ChannelWork(Work):
    """Work that tells a channel."""

    def __init__(self, run: ServedRun, channel: Channel, seconds: float) -> None:
        super().__init__(seconds)
        self.run, self.channel = run, channel

    def fail(self, error: BaseException) -> None:
        self.channel.fail(error)


class SampleWork(ChannelWork):
    """`n` new examples, as `genwright sample` makes them."""

    def __init__(
        self,
        run: ServedRun,
        channel: Channel,
        seconds: float,
        *,
        n: int,
        asked: Asked,
        seed: int,
        options: dict[str, Any],
        wanted: Wanted,
    ) -> None:
        super().__init__(run, channel, seconds)
        self.n, self.asked, self.seed, self.options, self.wanted = n, asked, seed, options, wanted
        self.lanes = run.family.lanes
        alone = asked.request.known is not None or asked.gaps is not None or "chunk" in options
        if not alone and n < self.lanes:
            names = tuple(sorted(asked.request.cond))
            self.key, self.size = (run.name, names, json.dumps(options, sort_keys=True)), n
        self._behind = 0
        self._next_draft = 0.0

    def perform(self) -> None:
        model, parts = self.run.model, list[Samples]()
        for behind, values in model.parts(self.n, self.asked, self.seed, dict(self.options)):
            some = slice(behind, behind + len(values[model.pipeline.spec.make]))
            parts.append(model.answer(values, self.asked, self.seed, some))
            self._behind = some.stop
            self._show(parts[-1], behind)
        self._finish(parts)

    def perform_together(self, others: Sequence[Work]) -> None:
        works: list[SampleWork] = [self, *(work for work in others if isinstance(work, SampleWork))]
        wanted = [(work.n, work.asked, work.seed) for work in works]
        for work, samples in zip(works, self.run.model.together(wanted, self.options), strict=True):
            work._show(samples, 0)
            work._finish([samples])

    def _show(self, samples: Samples, behind: int) -> None:
        if self.over:
            return
        if not self.wanted.zipped:
            data: dict[str, Any] = {"first": behind, "examples": as_examples(samples)}
            if self.wanted.previews:
                data["html"] = previews(samples, self.run.name)
            self.channel.put(Event("examples", data))

    def _finish(self, parts: Sequence[Samples]) -> None:
        whole = archive(Samples.joined(parts)) if self.wanted.zipped and not self.over else b""
        self.channel.put(Event("done", {"notes": parts[-1].notes}, whole))

    def watch(self, draft: Draft, rows: slice) -> None:
        now = time.monotonic()
        if not self.wanted.drafts or now < self._next_draft or draft.step == draft.steps:
            return
        data: dict[str, Any] = {"first": self._behind, "step": draft.step, "steps": draft.steps}
        left = slice(rows.start, min(rows.stop, rows.start + self.n - self._behind))
        samples = self.run.model.drafted(draft, left, self.asked, self.seed, self._behind)
        views = self.run.made.views
        if samples is not None and "text" in views:
            data["texts"] = texts_of(samples)
        elif samples is not None and "row" in views:
            data["rows"] = made_cells(samples)
        if samples is not None and self.wanted.previews and "text" not in views:
            data["html"] = previews(samples, self.run.name)
        self.channel.put(Event("draft", data))
        self._next_draft = time.monotonic() + max(BETWEEN, SHARE * (time.monotonic() - now))


class ApplyWork(ChannelWork):
    """What a model makes of one file, as `genwright apply` makes it.

    name    a word for the file, of which nothing but its suffix goes to the disk
    """

    def __init__(
        self,
        run: ServedRun,
        channel: Channel,
        seconds: float,
        *,
        content: bytes,
        name: str,
        given: Mapping[str, Any],
        seed: int,
        options: dict[str, Any],
        wanted: Wanted,
    ) -> None:
        super().__init__(run, channel, seconds)
        self.content, self.name, self.wanted = content, name, wanted
        self.given, self.seed, self.options = dict(given), seed, options

    def perform(self) -> None:
        with TemporaryDirectory(prefix="genwright-") as name:
            folder = Path(name)
            work = Application(self.run.model, self.given, self.seed, options=self.options)
            work.stop = lambda: self.over
            try:
                samples, left = self._made(work, folder)
            except (
                GenwrightError
            ) as error:  # whose sentence may name the folder, which is nobody's business
                raise HttpRefusal(
                    str(error).replace(f"{folder}{os.sep}", ""), code=error.code
                ) from error
            data: dict[str, Any] = {"first": 0, "examples": [], "notes": []}
            if samples is not None:
                data["examples"] = list(_files(samples, folder / "made"))
                if self.wanted.previews:
                    data["html"] = [as_html(samples.preview(), self.run.name)]
            if self.over:
                raise Abandoned
            self.channel.put(Event("examples", data))
            notes = [*work.notes, *(samples.notes if samples is not None else ()), *left]
            self.channel.put(Event("done", {"notes": notes}))

    def _made(self, work: Application, folder: Path) -> tuple[Samples | None, list[str]]:
        suffix = self._suffix()
        if suffix is None:
            parts = work.of_text(io.BytesIO(self.content))
        else:
            file = folder / f"input{suffix}"
            file.write_bytes(self.content)
            parts = work.of([file])
        made, left = list[Samples](), list[str]()
        for part in parts:
            if isinstance(part, Rejected):
                left.append(f"left out: {part.reason}")
            else:
                made.append(part)
        return (Samples.joined(made) if made else None), left

    def _suffix(self) -> str | None:
        """One of those that are read; None for a text that is given as it is. Raises `HttpRefusal`."""
        if not self.name:
            return None
        assert self.run.applies is not None
        read = self.run.applies[1].split()
        lower = self.name.lower()
        for suffix in sorted(read, key=len, reverse=True):
            if lower.endswith(suffix):
                return suffix
        raise HttpRefusal(
            f"{self.run.name} reads {' '.join(read)}, and the file has another ending: give one of these",
            code="wrong-kind-of-file",
        )


def _files(samples: Samples, folder: Path) -> Iterator[dict[str, Any]]:
    """The files that the command line would leave, as JSON values."""
    texts = texts_of(samples) if "text" in samples.fields[samples.make].views else []
    for i, file in enumerate(samples.save(folder)):
        one: dict[str, Any] = {
            "name": file.relative_to(folder).as_posix(),
            "media_type": media_type(file.suffix),
            "data": b64encode(file.read_bytes()).decode(),
        }
        if texts:
            one["text"] = texts[i]
        yield one


class EditWork(ChannelWork):
    """The way from the latent code of one seed to that of another, as `genwright edit --between` makes it."""

    def __init__(
        self,
        run: ServedRun,
        channel: Channel,
        seconds: float,
        *,
        seeds: tuple[int, int],
        steps: int,
        wanted: Wanted,
    ) -> None:
        super().__init__(run, channel, seconds)
        self.seeds, self.steps, self.wanted = seeds, steps, wanted

    def perform(self) -> None:
        one, other = (f"seed:{seed}" for seed in self.seeds)
        samples = LatentEditor(self.run.model).between(one, other, self.steps)
        data: dict[str, Any] = {"first": 0, "examples": as_examples(samples)}
        if self.wanted.previews:
            data["html"] = previews(samples, self.run.name)
        self.channel.put(Event("examples", data))
        self.channel.put(Event("done", {"notes": samples.notes}))
