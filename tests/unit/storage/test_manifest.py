"""What is damaged, or made by a stranger, is found before it is used, and named."""

import json

import pytest
import torch

from genwright.errors import RunError
from genwright.storage import durable
from genwright.storage.manifest import seal
from genwright.storage.run import Run


def weights(step):
    return {"w": torch.full((3, 4), float(step)), "b": torch.arange(5, dtype=torch.bfloat16)}


@pytest.fixture
def run(tmp_path):
    """A run with a best step 300 and a last step 500."""
    run = Run.create(
        tmp_path / "run", recipe={"family": "vae"}, plan="a plan\n", codec={"codec": "table"}
    )
    with run.lock():
        for step in (300, 500):
            run.log({"step": step, "loss": 1 / step})
            run.save(step, weights(step), {"m": torch.zeros(7)}, {"place": step}, best=step == 300)
    return run


def files(path):
    return {p.relative_to(path).as_posix() for p in path.rglob("*") if p.is_file()} - {".lock"}


def test_every_changed_byte_and_every_cut_is_found_and_the_file_named(run):
    for name in sorted(files(run.path)):
        file = run.path / name
        whole = file.read_bytes()
        places = range(0, len(whole), max(1, len(whole) // 150))
        damages = [whole[:i] + bytes([whole[i] ^ (1 << i % 8)]) + whole[i + 1 :] for i in places]
        damages += [whole[:i] for i in places]
        damages += [] if name == "metrics.jsonl" else [whole + b"?"]  # the log may grow, nothing else
        for damaged in damages:
            file.write_bytes(damaged)
            if name == "MANIFEST.json" and damaged.strip() == whole.strip():
                continue
            with pytest.raises(RunError, match=name) as caught:
                Run.open(run.path)
            assert caught.value.code in ("damaged-run", "newer-format")
            assert "another folder with --out" in str(caught.value) or "-U genwright" in str(
                caught.value
            )
        file.unlink()
        own = name == "MANIFEST.json"
        with pytest.raises(
            RunError, match="it has no MANIFEST" if own else f"{name} is missing"
        ) as caught:
            Run.open(run.path)
        assert caught.value.code == ("no-run" if own else "damaged-run")
        file.write_bytes(whole)
        Run.open(run.path)


def test_each_byte_of_the_manifest_counts(run):
    file = run.path / "MANIFEST.json"
    whole = file.read_bytes().strip()
    for i, byte in enumerate(whole):
        file.write_bytes(whole[:i] + bytes([byte ^ 1]) + whole[i + 1 :])
        with pytest.raises(RunError, match=r"MANIFEST.json in .* is damaged|has format") as error:
            Run.open(run.path)
        assert error.value.code in ("damaged-run", "newer-format")


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda m: m.update(format=3), "has format 3, and this genwright reads up to 2; update it"),
        (lambda m: m.update(format="1"), "its format is no number"),
        (lambda m: m.pop("format"), "damaged"),
        (lambda m: m.update(format=3, sha256=None), "has format 3"),
        (lambda m: m.update(begun=3), "begun with makes no sense"),
        (lambda m: m.update(begun=0), "begun with makes no sense"),
        (lambda m: m.pop("begun"), "damaged"),
        (lambda m: m.update(step=-1), "steps make no sense"),
        (lambda m: m.update(step=True), "steps make no sense"),
        (lambda m: m.update(best=501), "steps make no sense"),
        (lambda m: m.update(step=400), "does not list the files"),
        (lambda m: m.update(files=[]), "damaged"),
        (lambda m: m["files"].update({"../../etc/passwd": m["metrics"]}), "does not list the files"),
        (lambda m: m["files"].pop("recipe.json"), "does not list the files"),
        (lambda m: m["metrics"].update(size="5"), "no sense"),
        (lambda m: m["metrics"].update(sha256="x"), "no sense"),
        (lambda m: m["metrics"].update(sha256=5), "damaged"),
        (lambda m: m.update(pad="x" * (1 << 20)), "too large"),
    ],
)
def test_a_strange_manifest_is_refused(run, change, said):
    file = run.path / "MANIFEST.json"
    manifest = json.loads(file.read_bytes())
    change(manifest)
    file.write_text(json.dumps(seal(manifest)))
    with pytest.raises(RunError, match=said) as error:
        Run.open(run.path)
    assert error.value.code == ("newer-format" if "has format" in said else "damaged-run")


@pytest.mark.parametrize("text", ["", "[]", "null", "{", "[" * 100_000, "\x00"])
def test_what_is_no_manifest_is_refused(run, text):
    (run.path / "MANIFEST.json").write_text(text)
    with pytest.raises(RunError, match=r"MANIFEST.json in .* is damaged"):
        Run.open(run.path)


def test_a_folder_that_is_no_run(tmp_path):
    for path in (tmp_path, tmp_path / "nowhere"):
        with pytest.raises(RunError, match=r"is not a run: it has no MANIFEST.json") as error:
            Run.open(path)
        assert error.value.code == "no-run"


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"\xff" * 40,
        (9 << 20).to_bytes(8, "little") + b"{}".ljust(9 << 20),
        b"\x02" + b"\0" * 7 + b"[]",
    ],
    ids=["empty", "noise", "large header", "no object"],
)
def test_what_is_no_safetensors_is_refused_even_where_the_manifest_vouches_for_it(run, content):
    name = "model/000500.safetensors"
    (run.path / name).write_bytes(content)
    manifest = json.loads((run.path / "MANIFEST.json").read_bytes())
    manifest["files"][name] = vars(durable.digest_of(content))
    (run.path / "MANIFEST.json").write_text(json.dumps(seal(manifest)))
    with pytest.raises(RunError, match=f"{name} in .* is damaged"):
        Run.open(run.path).weights()


def test_damage_after_opening_is_found_before_use(run):
    for name in ("model/000500.safetensors", "recipe.json"):
        data = bytearray((run.path / name).read_bytes())
        data[-5] ^= 1
        (run.path / name).write_bytes(data)
    with pytest.raises(RunError, match=r"model/000500.safetensors in .* is damaged: it differs"):
        run.weights()
    with pytest.raises(RunError, match=r"recipe.json in .* is damaged"):
        _ = run.recipe
    assert torch.equal(run.weights("best")["w"], weights(300)["w"])
