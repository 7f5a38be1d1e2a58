"""What cannot be compared is named before any verdict: column, an example of each side, the way out."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from genwright.errors import DataError
from genwright.evaluation import inputs

Row = dict[str, Any]


def real_row(i: int) -> Row:
    day = np.datetime64("2022-01-01") + (37 * i) % 700
    return {
        "age": 20 + i % 50,
        "member": ("Yes", "No")[i % 2],
        "since": str(day),
        "spend": i % 97 / 4,
        "bp": f"{95 + i % 83}/{60 + i % 37}",
        "by": ";".join(one for k, one in enumerate(("mail", "phone", "post")) if (1 + i) % 7 >> k & 1)
        or "mail",
    }


def table(path: Path, n: int, change: Any = dict) -> Path:
    rows = [change(real_row(i)) for i in range(n)]
    lines = [",".join(map(str, row.values())) for row in rows]
    path.write_text("\n".join([",".join(rows[0]), *lines]) + "\n")
    return path


def american(text: str) -> str:
    year, month, day = text.split("-")
    return f"{month}/{day}/{year}"


def judged(folder: Path, change: Any, n: int = 60) -> inputs.EvaluationInput:
    fake, real = table(folder / "fake.csv", n, change), table(folder / "real.csv", 200)
    return inputs.of_files(fake, real, None, 50, 0, extractor="pca")


def refusal(folder: Path, change: Any, n: int = 60) -> str:
    with pytest.raises(DataError) as refused:
        judged(folder, change, n)
    assert refused.value.code == "columns-not-comparable"
    return str(refused.value)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (
            lambda row: {**row, "since": american(row["since"])},
            ["'since'", "'01/01/2022'", "'2022-", "write its dates as %Y-%m-%d, not %m/%d/%Y"],
        ),
        (
            lambda row: {**row, "member": row["member"] == "Yes"},
            ["'member'", "'True'", "'Yes'", "write them alike"],
        ),
        (
            lambda row: {**row, "bp": row["bp"].replace("/", "-")},
            ["'bp'", "'95-60'", "/", "write them alike"],
        ),
        (
            lambda row: {**row, "by": row["by"].upper()},
            ["'by'", "'MAIL'", "write them alike"],
        ),
        (
            lambda row: {**row, "spend": f"{row['spend']} EUR"},
            ["'spend'", "'0.0 EUR'", "write them alike"],
        ),
        (
            lambda row: {("Since" if k == "since" else k): v for k, v in row.items()},
            ["no column 'since' in ", "fake.csv", "rename its 'Since'"],
        ),
        (
            lambda row: {k: v for k, v in row.items() if k != "age"},
            ["no column 'age' in ", "there is one in ", "real.csv", "add it"],
        ),
    ],
)
def test_a_column_that_cannot_be_read_is_named(tmp_path: Path, change: Any, words: list[str]) -> None:
    said = refusal(tmp_path, change)
    for word in words:
        assert word in said, said


def test_all_such_columns_are_named_at_once(tmp_path: Path) -> None:
    said = refusal(
        tmp_path, lambda row: {"member": row["member"] == "Yes", "since": american(row["since"])}
    )
    assert all(repr(name) in said for name in ("age", "member", "since", "spend"))


def test_dates_of_another_format_are_named_though_some_can_be_read(tmp_path: Path) -> None:
    """Day and month the other way round: a date of a day up to the twelfth reads as another one."""

    def british(row: Row) -> Row:
        month, day, year = american(row["since"]).split("/")
        return {**row, "since": f"{day}/{month}/{year}"}

    real = table(tmp_path / "real.csv", 200, british)
    few = [*[r for r in map(real_row, range(300)) if int(r["since"][-2:]) < 13][:40], real_row(2)]
    lines = [f"{row['age']},{row['member']},{american(row['since'])},{row['spend']}" for row in few]
    (tmp_path / "fake.csv").write_text("\n".join(["age,member,since,spend", *lines]) + "\n")
    with pytest.raises(DataError, match="write its dates as %d/%m/%Y, not %m/%d/%Y"):
        inputs.of_files(tmp_path / "fake.csv", real, None, 40, 0, extractor="pca")


@pytest.mark.parametrize(
    "change",
    [
        dict,
        lambda row: {**row, "spend": "oops" if row["age"] % 9 == 0 else row["spend"]},
        lambda row: {**row, "age": ""},
        lambda row: {**row, "member": "Yes"},
        lambda row: {**row, "spend": "1e300"},
    ],
)
def test_what_is_only_bad_is_judged(tmp_path: Path, change: Any) -> None:
    """Some wrong values, or none at all, are the business of the metrics."""
    assert len(judged(tmp_path, change).evidence.fake) >= 40


def test_a_column_of_the_generated_file_alone_is_spoken_of(tmp_path: Path) -> None:
    notes = judged(tmp_path, lambda row: {**row, "more": 1}).notes
    assert any("has more, which" in note for note in notes)


def test_labels_of_pictures_are_compared_too(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    for side, names in (("real", "ab"), ("fake", "AB")):
        for i in range(60):
            file = tmp_path / side / names[i % 2] / f"{i}.png"
            file.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(rng.integers(0, 256, (8, 8), dtype=np.uint8)).save(file)
    with pytest.raises(
        DataError, match=r"'label' holds 'A' or 'B' in .*fake, and 'a' or 'b' in"
    ) as said:
        inputs.of_files(tmp_path / "fake", tmp_path / "real", None, 40, 0, extractor="pca")
    assert said.value.code == "columns-not-comparable"
