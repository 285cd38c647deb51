"""`savanna.train` in processes of others: scripts, notebooks, with a Ray of their own."""

import os
import sys

import pytest
from test_import_name import WALK
from test_python_api import FEW, QUICK, script

from savanna.runs.directory import RunDirectory
from savanna.session.log_file import quiet
from savanna.streams import say

AFTERWARDS = f"""
    import gc, json, logging, os, signal, sys, warnings
    import savanna

    gc.disable()
    logging.captureWarnings(True)
    def mine(*_): pass
    signal.signal(signal.SIGINT, mine), signal.signal(signal.SIGTERM, mine)

    def state():
        files = [os.fstat(n).st_ino for n in (1, 2)]
        handlers = [signal.getsignal(n) is mine for n in (signal.SIGINT, signal.SIGTERM)]
        streams = [id(sys.stdout), id(sys.stderr), id(warnings.showwarning), len(warnings.filters)]
        collecting = gc.isenabled(), gc.get_freeze_count()
        return files, handlers, streams, collecting, hash(frozenset(os.environ.items()))

    def fails(experiment, **options):
        try:
            savanna.train(experiment, address=os.environ["RAY_ADDRESS"], {FEW}, **options)
        except savanna.errors.SavannaError as error:
            assert state() == before, (before, state())
            return type(error).__name__, str(error)

    savanna.train("cartpole", {QUICK})  # what is imported only once has its effects
    before = state()
    open_files = len(os.listdir("/proc/self/fd"))
    run = savanna.train("cartpole", {QUICK}, overrides={{"lr": 5e-4}})
    assert state() == before, (before, state())
    errors = [
        fails("cartpole", overrides={{"ler": 1}}),
        fails("gym", env="my_env:Breaks", stop={{"iterations": 1}}),
    ]
    import ray
    left = len(os.listdir("/proc/self/fd")) - open_files
    print(json.dumps([str(run.path), errors, ray.is_initialized(), left]))
    """


def test_the_process_is_as_it_was(tmp_path):
    """Handlers, streams, warnings, variables, garbage collection: after runs and after errors."""
    breaks = (  # not in the process of the checks before training
        "\nimport sys\nclass Breaks(Walk):\n    def step(self, action):\n"
        "        if 'ray' in sys.modules: raise OSError('wheel')\n"
        "        return super().step(action)\n"
    )
    (tmp_path / "my_env.py").write_text(WALK + breaks)
    path, errors, connected, left = script(tmp_path, AFTERWARDS)
    assert RunDirectory.find(path).metrics()
    [usage, failed] = errors
    assert usage[0] == "UsageError" and "Did you mean 'lr'" in usage[1]
    assert failed[0] == "SavannaError" and "train.log" in failed[1]
    assert "wheel" in RunDirectory.find("latest", tmp_path / "runs").log.read_text()
    assert not connected and left < 3


NOTEBOOK = f"""
    import json, sys, threading

    class Cell:  # as ipykernel's streams, a notebook's cell shows what is written to them
        encoding = "UTF-8"
        def __init__(self): self.text = ""
        def write(self, text): self.text += text
        def flush(self): pass
        def isatty(self): return False
        def fileno(self): raise OSError("not a file")

    import ray.tune.progress_reporter, types
    ray.tune.progress_reporter.IS_NOTEBOOK = True
    cleared = []
    sys.modules["IPython.display"] = types.SimpleNamespace(
        HTML=str, display=lambda *_: None, clear_output=lambda wait: cleared.append(wait)
    )
    given = sys.stdout, sys.stderr
    cell = sys.stdout, sys.stderr = Cell(), Cell()
    found = []

    def run():
        import savanna
        found.append(savanna.train("gym", env="my_env:Walk", {QUICK}))
        assert (sys.stdout, sys.stderr) == cell

    thread = threading.Thread(target=run)
    thread.start()
    thread.join()
    sys.stdout, sys.stderr = given
    shown = cell[0].text, cell[1].text
    command = found[0].metadata["command"]
    print(json.dumps([*shown, cleared, found[0].log.read_text(), command]))
    """


def test_in_a_notebook_the_cell_shows_the_progress(tmp_path):
    """In a thread, as some notebooks have it, and with streams that are no files."""
    (tmp_path / "my_env.py").write_text(WALK)
    out, err, cleared, log, command = script(tmp_path, NOTEBOOK)
    assert out == "" and not cleared and "Joining the Ray cluster" in err
    assert " steps " in err and "pid=" not in err and "pid=" in log
    assert command[:2] == ["python", "-c"] and "env='my_env:Walk'" in command[2]


USERS_RAY = f"""
    import json, os
    import ray, savanna

    ray.init("auto", log_to_driver=False)
    mine = ray.put("mine")
    lines = []
    run = savanna.train("cartpole", {QUICK})
    runs = savanna.train("cartpole", seeds=[4, 5], {QUICK})
    drawn = savanna.train("cartpole", overrides={{"lr": "grid(1e-3, 2e-3)"}}, {QUICK})
    lrs = [each.config["overrides"]["lr"] for each in drawn]
    seeds = [each.config["seed"] for each in runs]
    listed = [each.state for each in savanna.list_runs()]
    print(json.dumps([ray.get(mine), run.metrics()[-1]["iteration"], seeds, lrs, listed]))
    """


def test_a_ray_of_the_users_is_joined_and_goes_on(tmp_path):
    mine, iteration, seeds, lrs, listed = script(tmp_path, USERS_RAY)
    assert mine == "mine" and iteration == 1
    assert seeds == [4, 5] and lrs == [1e-3, 2e-3]
    assert listed == ["succeeded"] * 5


INTERRUPTED = f"""
    import glob, json, os, signal, sys, threading, time
    import savanna

    def rows():
        return sum(len(open(file).readlines()) for file in glob.glob("runs/*/*/metrics.csv"))

    def interrupt(times):
        before = rows()
        while rows() == before:
            time.sleep(0.1)
        for _ in range(times):
            os.kill(os.getpid(), signal.SIGINT)
            time.sleep(1.1)

    def interrupted(times, *experiment, **options):
        thread = threading.Thread(target=interrupt, args=[times])
        thread.start()
        try:
            try:
                savanna.train(*experiment, stop={{"return": 1e9, "seconds": 500}}, {FEW}, **options)
            except Exception:  # as in a loop that goes on with the next run
                raise SystemExit("Ctrl-C is taken for a run that failed")
        except savanna.errors.Interrupted as error:
            thread.join()
            import ray
            [run] = savanna.list_runs()
            kept = [int(c["iteration"]) for c in map(json.load, map(open, glob.glob(
                "runs/*/*/checkpoint_*/checkpoint.json")))]
            return [type(error).__name__, str(error), run.state, max(kept), rows() - 1,
                    ray.is_initialized(), signal.getsignal(signal.SIGINT) is was]

    was = signal.getsignal(signal.SIGINT)
    once = interrupted(1, "cartpole", overrides={{"train_batch_size_per_learner": 8000}})
    print(json.dumps([once, interrupted(2, resume="latest")]))
    """


def test_an_interrupted_cell_leaves_a_checkpoint_and_the_next_one_trains(tmp_path):
    """In a Ray of its own, twice in one process; the file is called train.py, and beside it is one
    that begins with our name."""
    (tmp_path / "savanna_test.py").write_text("raise SystemExit('imported')")
    once, twice = script(tmp_path, INTERRUPTED, fresh=True)
    saved, more = once[3], twice[4]
    assert once == ["Interrupted", once[1], "stopped", saved, saved, False, True]
    assert "--resume cartpole/" in once[1] and more > saved > 0
    assert twice == ["Interrupted", twice[1], "stopped", saved, more, False, True]
    assert "before the last iterations were saved" in twice[1]


LIMITED = f"""
    import json, savanna
    try:
        savanna.train("cartpole", max_duration=2, {FEW})
    except savanna.errors.SavannaError as error:
        print(json.dumps(str(error)))
    """


def test_a_limit_of_time_stops_the_run_and_not_the_process(tmp_path):
    assert "the time limit of 2 s" in script(tmp_path, LIMITED)


ELSEWHERE = f"""
    import json, os, sys
    sys.path.append(os.path.join(os.path.dirname(os.path.abspath(__file__)), "src"))
    from worlds import Walk
    import savanna
    runs = [savanna.train("gym", env="my_env:Walk", {QUICK}),
            savanna.train("gym", env=Walk, {QUICK})]
    print(json.dumps([run.config["env"] for run in runs]))
    """


def test_environments_lie_beside_the_script_or_on_its_path(tmp_path):
    """Called from another folder, without a guard for `__main__`."""
    project = tmp_path / "project"
    (project / "src").mkdir(parents=True)
    (project / "src" / "worlds.py").write_text(WALK)
    (project / "my_env.py").write_text(WALK)
    found = script(project, ELSEWHERE, cwd=tmp_path, fresh=True)
    assert found == ["my_env:Walk", "worlds:Walk"]


class Cell:
    """A notebook's `sys.stdout` or `sys.stderr`."""

    def __init__(self):
        self.text = ""

    def write(self, text):
        self.text += text

    def flush(self):
        pass


@pytest.mark.parametrize("kind", [Cell, lambda: None])
def test_streams_without_a_descriptor_are_put_back(kind, tmp_path, monkeypatch):
    """Also where an error ends it; what kept a stream meanwhile may go on using it."""
    given = kind(), kind()
    monkeypatch.setattr(sys, "stdout", given[0])
    monkeypatch.setattr(sys, "stderr", given[1])
    files = [os.fstat(number).st_ino for number in (1, 2)]
    with pytest.raises(OSError, match="full"), quiet(tmp_path / "log"):
        print("printed"), print("to stderr", file=sys.stderr), os.write(1, b"from C\n")
        kept = sys.stderr
        if given[1] is not None:
            say("progress")
        raise OSError("full")
    assert (sys.stdout, sys.stderr) == given
    assert files == [os.fstat(number).st_ino for number in (1, 2)]
    log = (tmp_path / "log").read_text()
    assert all(text in log for text in ("printed\n", "to stderr\n", "from C\n"))
    kept.write("\n")
    if given[1] is not None:
        assert (given[0].text, given[1].text) == ("", "progress\n")
