"""`savanna.train` from Python: its keywords, and the process that it leaves as it was."""

import inspect
import json
import re
import textwrap
from dataclasses import replace

import pytest
from command import ROOT, python
from plans import request_of_words

import savanna as api
from savanna.api.keywords import request_of
from savanna.api.training import _one_at_a_time
from savanna.envs.atari_single import SingleAtari
from savanna.errors import UsageError
from savanna.session.startup import Startup

KEYWORDS = ("overrides", "stop", "keep_default_stop", "seeds", "video", "max_duration", "runs_root")
FEW = "num_env_runners=0, evaluate_episodes=0, video=False, report=False"
QUICK = f'stop={{"iterations": 1}}, {FEW}'


def script(folder, text, *, name="train.py", **options):
    """What a script of a user's prints as JSON, at its end; its errors fail the test."""
    (folder / name).write_text(textwrap.dedent(text))
    done = python(folder / name, **{"cwd": folder, **options})
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1])


@pytest.mark.parametrize(
    ("words", "experiment", "options"),
    [
        ("pong", "pong", {}),
        ("cartpole --seed 3 --set lr=5e-4", "cartpole", {"seed": 3, "overrides": {"lr": 5e-4}}),
        (
            "gym --env my_env:Walk --stop none --stop seconds=9 --no-video",
            "gym",
            {
                "env": "my_env:Walk",
                "stop": {"seconds": 9},
                "keep_default_stop": False,
                "video": False,
            },
        ),
        (
            "cartpole --seeds 1,2 --set lr=grid(1,2) --max-duration 2h",
            "cartpole",
            {"seeds": [1, 2], "overrides": {"lr": "grid(1,2)"}, "max_duration": "2h"},
        ),
        (
            "--resume latest --storage ~/x --runs-root elsewhere",
            None,
            {"resume": "latest", "storage": "~/x", "runs_root": "elsewhere"},
        ),
    ],
)
def test_keywords_ask_for_what_options_do(words, experiment, options):
    asked = request_of(experiment, {"keep": None, **options})
    assert not asked.own_process and asked.command[0] == "python"
    same = replace(asked, own_process=True, command=())
    assert same == replace(request_of_words(*words.split()), command=())


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"kep": 3}, "kep: unknown keyword. Did you mean 'keep'?"),
        ({"set": {}}, "Did you mean 'overrides'?"),
        ({"lr": 5e-4}, "use overrides={'lr': 0.0005}."),
        ({"own_process": True}, "own_process: unknown keyword."),
        ({"keep": "3"}, "keep='3': must be a whole number."),
        ({"keep": 0}, "--keep 0: must be at least 1."),
        ({"num_env_runners": True}, "must be a whole number."),
        ({"video": 1}, "video=1: must be True or False."),
        ({"seeds": ["a"]}, "must be a whole number."),
        ({"stop": {"return": "100"}}, "stop={'return': '100'}: must be a number."),
        ({"stop": {"retrun": 100}}, "--stop retrun: unknown rule."),
        ({"stop": 100}, 'must be a dictionary, such as {"return": 100}.'),
        ({"overrides": {"ler": 1}, "address": "local"}, "Did you mean 'lr'?"),
        ({"max_duration": "soon"}, "use 3600, 90s, 10m or 2h"),
        ({"env": 5}, "give a Gymnasium id"),
        (
            {"num_env_runners": 1, "overrides": {"num_env_runners": 2}},
            "num_env_runners and overrides['num_env_runners']: both set --num-env-runners",
        ),
    ],
)
def test_what_is_wrong_is_said_before_anything_starts(options, says, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UsageError) as error:
        api.train("cartpole", **options)
    assert says in str(error.value) and "\n" not in str(error.value)
    assert not list(tmp_path.glob("runs/*"))


def test_all_that_is_wrong_is_said_at_once():
    with pytest.raises(UsageError) as error:
        api.train("cartpole", kep=3, keep="3", video=1)
    assert len(str(error.value).splitlines()) == 3


def test_an_environments_class_is_known_by_its_name():
    assert request_of("gym", {"env": SingleAtari}).env == "savanna.envs.atari_single:SingleAtari"

    class Inside:
        pass

    with pytest.raises(UsageError, match=r"file of its own.*env=\"my_env:Inside\""):
        request_of("gym", {"env": Inside})


def test_numbers_may_be_numpys():
    import numpy as np

    asked = request_of(None, {"seed": np.int64(3), "overrides": {"lr": np.float32(0.5)}})
    assert json.dumps([asked.seed, asked.overrides]) == '[3, {"lr": 0.5}]'


def test_one_training_at_a_time_in_a_process():
    with _one_at_a_time, pytest.raises(UsageError, match="another thread"):
        api.train("cartpole")


def test_a_start_counts_from_the_call():
    """The process may be a notebook's that is hours old."""
    import time

    began = Startup(time.time() - 5).seconds({"trial": time.time()})
    assert began["total"] == pytest.approx(5, abs=1)


SMALL = """
import savanna
_train, savanna.train = savanna.train, lambda experiment, **options: _train(experiment, **{
    **options, "stop": {"iterations": 1}, "num_env_runners": 1, "evaluate_episodes": 0,
    "video": False, "report": False})
"""


def test_the_pages_examples_run(tmp_path):
    """In their order, in one script; each training is a short one."""
    page = (ROOT / "docs" / "python.md").read_text()
    examples = re.findall(r"^```python\n(.*?)^```", page, flags=re.DOTALL | re.MULTILINE)
    assert len(examples) == 6 and all(page.count(name) for name in KEYWORDS)
    text = "\n".join([SMALL, *examples, "print('[\"the end\"]')"])
    assert script(tmp_path, text) == ["the end"]


def test_the_signature_shows_the_keywords():
    shown = inspect.signature(api.train).parameters
    assert {*KEYWORDS} <= {*shown} and "own_process" not in shown
    assert shown["keep_default_stop"].default is True
