"""The run folder: what is saved comes back, what is damaged is named, what is a person's own stays."""

import json
import math
import os
import signal
import subprocess
import sys
from types import SimpleNamespace

import pytest
import torch

from genwright.errors import RunError
from genwright.storage import durable
from genwright.storage.run import Run, required_bytes
from genwright.storage.tensors import pack

RECIPE = {"family": "vae", "options": {"beta": 4.0}, "name": "Größe"}
CODEC = {"codec": "table", "columns": ["a", "nan", "\udc80"]}


def weights(step):
    return {"w": torch.full((3, 4), float(step)), "b": torch.arange(5, dtype=torch.bfloat16)}


def save(run, step, **options):
    state = {"m": torch.full((7,), step), "rng": torch.arange(9, dtype=torch.uint8)}
    run.log({"step": step, "loss": 1 / step})
    run.save(step, weights(step), state, {"place": step, "rng": 2**100}, **options)


@pytest.fixture
def run(tmp_path):
    """A run with a best step 300 and a last step 500."""
    run = Run.create(tmp_path / "run", recipe=RECIPE, plan="a plan\n", codec=CODEC)
    with run.lock():
        save(run, 300, best=True)
        save(run, 500)
    return run


def files(path):
    return {p.relative_to(path).as_posix() for p in path.rglob("*") if p.is_file()} - {".lock"}


def same(left, right):
    return left.keys() == right.keys() and all(torch.equal(left[k], right[k]) for k in left)


def test_a_new_run_holds_its_recipe_and_no_weights(tmp_path):
    Run.create(tmp_path / "runs" / "a", recipe=RECIPE, plan="größer\n", codec=CODEC)
    run = Run.open(str(tmp_path / "runs" / "a"))
    assert (run.step, run.best, run.recipe, run.codec, run.plan) == (0, None, RECIPE, CODEC, "größer\n")
    assert run.metrics() == []
    assert {"genwright", "torch", "python"} <= run.versions.keys()
    for asked, said in ((run.weights, "none yet"), (run.training_state, "no saved state")):
        with pytest.raises(RunError, match=said) as error:
            asked()
        assert error.value.code == "no-weights"


def test_what_is_saved_comes_back(run):
    found = Run.open(run.path)
    assert (found.step, found.best) == (run.step, run.best) == (500, 300)
    assert same(found.weights(), weights(500))
    assert same(found.weights("best"), weights(300))
    assert same(found.weights(300), weights(300))
    tensors, meta = found.training_state()
    assert meta == {"place": 500, "rng": 2**100}
    assert tensors["rng"].dtype is torch.uint8
    assert tensors["m"].tolist() == [500] * 7
    assert found.metrics() == [{"step": 300, "loss": 1 / 300}, {"step": 500, "loss": 1 / 500}]
    with pytest.raises(RunError, match=r"no weights called 400; it keeps 500 \(last\) and 300 \(best\)"):
        found.weights(400)


def test_the_best_and_the_last_are_kept_and_nothing_else_of_ours(run):
    always = {"recipe.json", "plan.txt", "codec/state.json", "metrics.jsonl", "MANIFEST.json"}
    state = {"state/000500.safetensors", "state/000500.json"}
    assert files(run.path) == always | state | {"model/000300.safetensors", "model/000500.safetensors"}
    with run.lock():
        save(run, 1_234_567, best=True)
    assert {name for name in files(run.path) if "/0" in name} == set()
    assert Run.open(run.path).best == 1_234_567


def test_without_a_best_step_there_are_no_best_weights(tmp_path):
    run = Run.create(tmp_path / "run", recipe={}, plan="", codec={})
    with run.lock():
        save(run, 1)
    with pytest.raises(RunError) as error:
        run.weights("best")
    assert error.value.code == "no-weights"


def test_a_persons_own_files_stay(run):
    own = [
        "notes.txt",
        "model/mine.safetensors",
        "model/000300 copy.safetensors",
        "state/best.json",
        "x.tmp",
    ]
    own += ["samples/000500/1.png", "samples/mine/1.png", "judge/000500.json"]
    for name in own:
        (run.path / name).parent.mkdir(parents=True, exist_ok=True)
        (run.path / name).write_text("mine")
    with run.lock():
        save(run, 600, best=True)
        run.rewind()
    assert set(own) <= files(run.path)
    assert Run.open(run.path).step == 600


def test_nothing_is_deleted_through_a_link(run, tmp_path):
    for name, victim in (("samples", "202401/me.jpg"), ("model", "000001.safetensors")):
        elsewhere = tmp_path / f"my {name}"
        (run.path / name).rename(elsewhere)
        (run.path / name).symlink_to(elsewhere)
        (elsewhere / victim).parent.mkdir(exist_ok=True)
        (elsewhere / victim).write_text("mine")
    with Run.open(run.path).lock():
        pass
    assert (tmp_path / "my samples/202401/me.jpg").exists()
    assert (tmp_path / "my model/000001.safetensors").exists()


@pytest.mark.parametrize(
    "occupant", ["photo.jpg", "recipe.json", "model/000001.safetensors", "MANIFEST.json"]
)
def test_an_occupied_folder_is_refused_with_two_ways_out(tmp_path, occupant):
    (tmp_path / occupant).parent.mkdir(exist_ok=True)
    (tmp_path / occupant).write_text("mine")
    with pytest.raises(
        RunError, match=f"{tmp_path} exists and is not empty.*--out OTHER.*--resume {tmp_path}"
    ) as error:
        Run.create(tmp_path, recipe={}, plan="", codec={})
    assert error.value.code == "folder-occupied"
    assert [p.name for p in tmp_path.rglob("*") if p.is_file()] == [occupant.split("/")[-1]]


def test_a_run_that_has_lost_its_manifest_is_not_trained_over(run):
    (run.path / "MANIFEST.json").unlink()
    names = files(run.path)
    with pytest.raises(RunError) as error:
        Run.create(run.path, recipe={}, plan="", codec={})
    assert error.value.code == "folder-occupied"
    assert files(run.path) == names


def test_a_file_or_a_closed_disk_in_the_way_of_a_run(tmp_path, monkeypatch):
    (tmp_path / "file").write_text("mine")
    with pytest.raises(RunError, match=r"is a file.*--out") as error:
        Run.create(tmp_path / "file", recipe={}, plan="", codec={})
    assert error.value.code == "folder-occupied"
    with pytest.raises(RunError, match=r"not a directory.*--out"):
        Run.create(tmp_path / "file" / "run", recipe={}, plan="", codec={})

    def refuse(self, path):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(durable.System, "open_temp", refuse)
    with pytest.raises(
        RunError, match=r"cannot write in .*run \(permission denied\); make it writable"
    ) as error:
        Run.create(tmp_path / "run", recipe={}, plan="", codec={})
    assert error.value.code == "not-writable"


def test_a_reader_finds_the_newer_state_where_a_training_saves_meanwhile(run, monkeypatch):
    other, digest = Run.open(run.path), durable.digest

    def slow(path, first=None):
        if path.name == "000500.safetensors" and other.step == 500:
            with other.lock():
                save(other, 600)
        return digest(path, first)

    monkeypatch.setattr(durable, "digest", slow)
    assert Run.open(run.path).step == 600


def test_the_metrics_of_a_resumed_run_are_those_of_an_unbroken_one(run):
    before = (run.path / "metrics.jsonl").read_bytes()
    with run.lock():
        run.log({"step": 501, "loss": 1.0})
        run.samples_dir(501)
    with (run.path / "metrics.jsonl").open("ab") as file:
        file.write(b'{"step": 502, "lo')
    (run.path / "state/000501.json.tmp").write_text("half")
    (run.path / "model/000501.safetensors").write_text("whole, and never committed")
    assert Run.open(run.path).metrics()[-1] == {"step": 501, "loss": 1.0}
    again = Run.open(run.path)
    with again.lock():
        assert (run.path / "metrics.jsonl").read_bytes() == before
        assert not [name for name in files(run.path) if "501" in name]
        assert not (run.path / "samples/000501").exists()
        assert again.samples_dir(500).is_dir()
        save(again, 600)
    assert [record["step"] for record in Run.open(run.path).metrics()] == [300, 500, 600]


def test_numbers_that_json_has_not(run):
    record = {
        "a": math.inf,
        "b": [-math.inf, 1.5],
        "c": {"d": math.nan},
        "e": None,
        "f": True,
        "g": "text",
    }
    with run.lock():
        run.log(record)
        line = (run.path / "metrics.jsonl").read_bytes().splitlines()[-1]
        found = run.metrics()[-1]
    assert b'"a": "inf", "b": ["-inf", 1.5], "c": {"d": "nan"}' in line
    assert math.isnan(found["c"].pop("d"))
    assert found == {**record, "c": {}}


def test_weights_that_are_not_finite_are_refused_and_the_former_save_stands(run):
    names = files(run.path)
    poison = torch.tensor([1.0, math.nan])
    with run.lock():
        for bad in (
            poison,
            poison.bfloat16(),
            poison.to(torch.complex64),
            poison.to(torch.float8_e4m3fn),
            1 / (poison * 0),
        ):
            with pytest.raises(
                RunError, match=r"step 600 is not saved in .*'w' holds NaN or infinity.*learning rate"
            ):
                run.save(600, {"w": bad}, {}, {})
        with pytest.raises(RunError, match="'m' holds NaN") as error:
            run.save(600, {}, {"m": poison}, {})
        assert error.value.code == "not-finite"
        with pytest.raises(ValueError, match="JSON compliant"):
            run.save(600, {}, {}, {"loss": math.nan})
    assert files(run.path) == names
    assert same(Run.open(run.path).weights(), weights(500))


def test_a_save_must_be_of_a_later_step(run):
    with run.lock():
        for step in (500, 499):
            with pytest.raises(RunError, match="has step 500 already") as error:
                save(run, step)
            assert error.value.code == "step-order"
    assert same(Run.open(run.path).weights(), weights(500))


def test_tensors_of_any_layout(run):
    base = torch.arange(12.0).reshape(3, 4)
    odd = {
        "tied": base,
        "twin": base,
        "view": base[1:],
        "transposed": base.T,
        "strided": base[:, ::2],
        "scalar": torch.tensor(3),
        "empty": torch.empty(0, 3),
        "flag": torch.tensor([True, False]),
        "parameter": torch.nn.Parameter(base.half()),
        "complex": torch.tensor([1 + 2j]),
    }
    with run.lock():
        run.save(600, odd, {}, {})
    found = Run.open(run.path).weights()
    assert same(found, odd)
    assert all(found[name].dtype is odd[name].dtype for name in odd)
    assert not found["parameter"].requires_grad
    assert Run.open(run.path).training_state() == ({}, {})


def test_equal_saves_are_equal_bytes_and_the_model_says_what_it_is(tmp_path):
    from safetensors import safe_open

    found = []
    for name in "ab":
        run = Run.create(tmp_path / name, recipe=RECIPE, plan="", codec=CODEC)
        with run.lock():
            save(run, 1, best=True)
        found.append((run.path / "MANIFEST.json").read_bytes())
    assert found[0] == found[1]
    with safe_open(run.path / "model/000001.safetensors", framework="pt") as file:
        about = file.metadata()
        assert torch.equal(file.get_tensor("w"), weights(1)["w"])
    codec = durable.digest(run.path / "codec/state.json").sha256
    assert about == {"format": "genwright/2", "step": "1", "recipe": json.dumps(RECIPE), "codec": codec}


def test_the_tensors_of_a_file_are_aligned():
    assert {len(pack({"w" * n: torch.zeros(2)}, {})[1]) % 8 for n in range(1, 9)} == {0}


def test_preflight_asks_for_room_for_two_saves_and_the_best(run, monkeypatch):
    one = required_bytes(weights(1), {"m": torch.zeros(1_000_000)})
    assert 4_000_000 < one < 4_100_000
    run.preflight(one)
    monkeypatch.setattr(durable.shutil, "disk_usage", lambda path: SimpleNamespace(free=9_000_000))
    with pytest.raises(
        RunError, match=rf"{run.path} has too little room .*10.2 MB needed, 9 MB free; make room"
    ) as error:
        run.preflight(one)
    assert error.value.code == "disk-full"
    run.preflight(3_500_000)


def test_writing_without_the_lock_is_our_own_mistake(run):
    for attempt in (lambda: run.log({}), lambda: save(run, 600), run.rewind):
        with pytest.raises(AssertionError, match=r"outside Run.lock"):
            attempt()


def test_a_second_training_in_one_folder_is_refused(run):
    with run.lock():
        with (
            pytest.raises(RunError, match=f"{run.path} is in use: process {os.getpid()} on .*--out"),
            Run.open(run.path).lock(),
        ):
            pass
        (run.path / ".lock.holder").write_text("?")
        with pytest.raises(RunError, match="another process") as error, Run.open(run.path).lock():
            pass
        assert error.value.code == "run-locked"
    with run.lock():
        pass
    assert not (run.path / ".lock.holder").exists()


def test_the_lock_of_a_killed_process_does_not_block(run):
    code = "import sys; from genwright.storage.run import Run\n"
    code += "with Run.open(sys.argv[1]).lock():\n print(1, flush=True); input()"
    with subprocess.Popen(
        [sys.executable, "-c", code, str(run.path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as child:
        try:
            child.stdout.readline()
            with pytest.raises(RunError, match=f"process {child.pid} on "), run.lock():
                pass
        finally:
            os.kill(child.pid, signal.SIGKILL)
    with run.lock():
        save(run, 600)


def test_who_waited_for_the_lock_goes_on_from_what_the_other_has_saved(run):
    late = Run.open(run.path)
    with run.lock():
        save(run, 600)
    with late.lock():
        assert late.step == 600
        save(late, 700)
    assert [record["step"] for record in Run.open(run.path).metrics()] == [300, 500, 600, 700]


def test_an_error_of_the_training_itself_passes_the_lock_unchanged(run):
    with pytest.raises(OSError, match="of the data"), run.lock():
        raise OSError(28, "of the data")
    with run.lock():
        pass


def test_the_module_does_not_import_torch():
    code = "import sys, genwright.storage.run; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_a_calibration_is_kept_until_the_next_save(run):
    known = {"step": 500, "field": {"x": {"weight": 0.5}}}
    with run.lock():
        run.calibrate(known)
    assert Run.open(run.path).calibration == known
    with run.lock():
        save(run, 600)
    assert Run.open(run.path).calibration == {}
    assert not (run.path / "calibration.json").exists()


def test_a_changed_calibration_is_named(run):
    with run.lock():
        run.calibrate({"step": 500})
    (run.path / "calibration.json").write_text('{"step": 501}')
    with pytest.raises(RunError, match=r"calibration\.json"):
        Run.open(run.path)
