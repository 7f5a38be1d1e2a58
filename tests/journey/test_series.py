"""Series from the first look to a forecast, on real data: passengers of airlines by month (Box and Jenkins), as
statsmodels, sktime and many others ship them."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
import pytest

from commands import done

pytestmark = pytest.mark.journey

PASSENGERS = """
112 118 132 129 121 135 148 148 136 119 104 118 115 126 141 135 125 149 170 170 158 133 114 140
145 150 178 163 172 178 199 199 184 162 146 166 171 180 193 181 183 218 230 242 209 191 172 194
196 196 236 235 229 243 264 272 237 211 180 201 204 188 235 227 234 264 302 293 259 229 203 229
242 233 267 269 270 315 364 347 312 274 237 278 284 277 317 313 318 374 413 405 355 306 271 306
315 301 356 348 355 422 465 467 404 347 305 336 340 318 362 348 363 435 491 505 404 359 310 337
360 342 406 396 420 472 548 559 463 407 362 405 417 391 419 461 472 535 622 606 508 461 390 432
"""


def test_look_train_apply_and_judge_a_forecast(tmp_path: Path) -> None:
    months = np.datetime64("1949-01") + np.arange(144)
    file = tmp_path / "airline.csv"
    with file.open("w", newline="") as stream:
        lines = csv.writer(stream)
        lines.writerow(["Date", "Passengers"])
        lines.writerows(zip(months, map(int, PASSENGERS.split()), strict=True))
    assert "times that go up in steps of 1 month" in done("look", file).out
    settings = ["codec.horizon=12", "task.last=12", "data.test=0.25", "net.name=mlp", "net.dropout=0.3"]
    chosen = [word for one in settings for word in ("--set", one)]
    done("train", file, "--task", "complete", "--family", "diffusion", *chosen, "--size", "xs",
         "--steps", "300", "--out", tmp_path / "run")  # fmt: skip
    done("apply", tmp_path / "run", file, "--out", tmp_path / "ahead")
    with (tmp_path / "ahead" / "airline.csv").open() as stream:
        rows = list(csv.DictReader(stream))
    assert [row["Date"] for row in rows] == [f"1961-{month:02d}" for month in range(1, 13)]
    assert all(
        float(r["Passengers_low"]) <= float(r["Passengers"]) <= float(r["Passengers_high"]) for r in rows
    )
    assert (
        "seasonal_naive"
        in done("judge", tmp_path / "run").out + (tmp_path / "run/judge/report.json").read_text()
    )
