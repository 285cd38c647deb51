"""Cases in which `python -m infra.local` must refuse, with a fake engine or none."""

import pytest

from infra.local import __main__ as command


@pytest.fixture
def no_engine(monkeypatch):
    monkeypatch.setenv("DOCKER_HOST", "unix:///nonexistent/docker.sock")


@pytest.mark.parametrize("verb", ["up", "status", "logs", "scale", "down"])
def test_without_an_engine_every_verb_says_so(verb, no_engine, capsys):
    assert command.main([verb]) == 1
    said = capsys.readouterr().err
    assert "no Docker Engine answers at unix:///nonexistent/docker.sock. Start it" in said
    assert "Error(" not in said and "Exception" not in said  # Python has its own words for it


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["up", "--wrokers", "2"], "unrecognized arguments: --wrokers"),
        (["up", "--workers", "two"], "invalid int value: 'two'"),
        (["start"], "invalid choice: 'start'"),
        ([], "required: verb"),
    ],
)
def test_wrong_words_are_refused(arguments, says, capsys):
    with pytest.raises(SystemExit) as ended:
        command.main(arguments)
    assert ended.value.code == 2 and says in capsys.readouterr().err


def test_a_bad_name_is_refused_before_anything(no_engine, capsys):
    assert command.main(["up", "--name", "My Cluster"]) == 2
    assert "lower-case" in capsys.readouterr().err
    assert command.main(["up", "--head-memory", "lots"]) == 2
    assert "write it as 512m or 4g" in capsys.readouterr().err
