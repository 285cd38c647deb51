"""Fetching a run in pieces, from a head that is sometimes unreachable, while the run continues."""

import io
import random
import shutil
from contextlib import redirect_stdout
from types import SimpleNamespace

import pytest
from ray.dashboard.modules.log.log_agent import find_start_offset_last_n_lines_from_offset

from savanna.errors import SavannaError, UsageError
from savanna.jobs import contents, receive
from savanna.jobs.client import NoSuchFile, Unreachable
from savanna.jobs.contents import link_name, pieces_of
from savanna.jobs.fetch import fetch

RUN = "pong/r1"
LEFT_THERE = {".status.json.tmp", "owner.json"}
MODEL = "checkpoint_000000/model.bin"


class FakeHead:
    """Runs the helper in the given place, and reads files as Ray's agent does. `cut`: the
    connection breaks after so many bytes of a file, once per entry.
    """

    def __init__(self, folder):
        self.results, self.logs = folder / "results", folder / "logs"
        self.cluster = SimpleNamespace(name="fake", results=str(self.results))
        self.asked, self.sent, self.cut = [], 0, []
        self.before_read = lambda name: None
        self.logs.mkdir()
        (self.logs / link_name(str(self.results))).symlink_to(self.results)

    def submit_job(self, entrypoint, submission_id, metadata):
        words = entrypoint.split()
        assert words[:3] == ["python", "-m", "savanna.jobs.contents"]
        with (self.logs / f"job-driver-{submission_id}.log").open("w") as log:
            log.write("Running entrypoint ...\n")
            with redirect_stdout(log):
                contents.main(words[3:])

    def get_job_info(self, job):
        return SimpleNamespace(status="SUCCEEDED", driver_node_id="head", message="")

    def delete_job(self, job):
        pass

    def read_file(self, node, name, lines=-1):
        ours = name.startswith("savanna-")
        if ours:
            self.asked.append((name.rpartition("/")[2], lines))
            self.before_read(name)
        path = self.logs / name
        if not path.is_file():
            raise NoSuchFile(name)
        with path.open("rb") as file:
            if lines != -1:
                end = file.seek(0, io.SEEK_END)
                file.seek(find_start_offset_last_n_lines_from_offset(file, end, lines))
            left = self.cut.pop(0) if ours and self.cut else None
            while part := file.read(1000):
                if left is not None and left < len(part):
                    raise Unreachable("broke off.")
                left = None if left is None else left - len(part)
                self.sent += len(part) if ours else 0
                yield part


@pytest.fixture(autouse=True)
def small_pieces(monkeypatch):
    monkeypatch.setattr("savanna.jobs.contents.SMALL_BYTES", 100)
    split = contents.pieces_of
    monkeypatch.setattr("savanna.jobs.contents.pieces_of", lambda blocks: split(blocks, 5000))
    monkeypatch.setattr("savanna.jobs.watch.time.sleep", lambda _: None)


@pytest.fixture
def head(tmp_path):
    found = FakeHead(tmp_path)
    run = found.results / RUN
    (run / "checkpoint_000000").mkdir(parents=True)
    (run / "config.json").write_text("{}")
    (run / "empty").touch()
    for name in LEFT_THERE:
        (run / name).write_text("half")
    (run / MODEL).write_bytes(random.Random(0).randbytes(50_000))
    (run / "metrics.csv").write_text("".join(f"row {i}\n" for i in range(1000)))
    return found


def bring(head, to, **options):
    return fetch(SimpleNamespace(client=head), RUN, to, lambda _: None, **options)


def names(folder):
    return {str(p.relative_to(folder)) for p in folder.rglob("*") if p.is_file()}


def assert_same(head, path):
    there = head.results / RUN
    assert names(path) == names(there) - LEFT_THERE
    assert all((path / n).read_bytes() == (there / n).read_bytes() for n in names(path))
    assert int((path / MODEL).stat().st_mtime) == int((there / MODEL).stat().st_mtime)
    assert [p.name for p in path.parent.iterdir()] == [path.name], "nothing else is left"


def test_the_whole_run_comes_and_small_files_need_no_request(head, tmp_path):
    path = bring(head, tmp_path / "runs")
    assert path == tmp_path / "runs" / RUN
    assert_same(head, path)
    assert head.asked == [("model.bin", -1), ("metrics.csv", -1)]
    assert bring(head, tmp_path / "runs") == path, "it is already up to date"
    assert len(head.asked) == 2


@pytest.mark.parametrize("content", [b"\0" * 40_000, b"a\n" * 20_000, b"\n" * 7000 + b"x" * 9000])
def test_pieces_end_with_lines_and_count_them(content, monkeypatch):
    monkeypatch.undo()
    for blocks in ([content], [content[i : i + 999] for i in range(0, len(content), 999)]):
        pieces = list(pieces_of(blocks, 5000))
        assert sum(p.size for p in pieces) == len(content)
        for index in range(1, len(pieces)):
            rest = sum(p.lines for p in pieces[index:])
            start = find_start_offset_last_n_lines_from_offset(
                io.BytesIO(content), len(content), rest
            )
            assert start == sum(p.size for p in pieces[:index])
    assert list(pieces_of([])) == []


def test_a_broken_connection_goes_on_where_it_was(head, tmp_path):
    head.cut = [22_000, 0, 15_000]
    assert_same(head, bring(head, tmp_path / "runs"))
    model = [lines for name, lines in head.asked if name == "model.bin"]
    assert model[0] == -1 and len(model) == 4 and all(lines > 0 for lines in model[1:])
    assert head.sent < 50_000 + 20_000, "pieces that had arrived came again"


def test_an_interrupted_fetch_goes_on_from_what_has_arrived(head, tmp_path):
    def interrupt(name):
        if name.endswith("metrics.csv"):
            raise KeyboardInterrupt

    head.before_read = interrupt
    with pytest.raises(KeyboardInterrupt):
        bring(head, tmp_path / "runs")
    assert not (tmp_path / "runs" / RUN).exists()
    head.before_read, head.asked = lambda name: None, []
    (tmp_path / "runs/pong/.fetch-r1/left.txt").write_text("of a run that has changed")
    assert_same(head, bring(head, tmp_path / "runs"))
    assert head.asked == [("metrics.csv", -1)]


def test_a_run_that_goes_on_arrives_as_it_was_at_one_moment(head, tmp_path):
    run = head.results / RUN

    def go_on(name):
        head.before_read = lambda name: None
        with (run / "metrics.csv").open("a") as file:
            file.write("more\n")
        shutil.rmtree(run / "checkpoint_000000")
        (run / "checkpoint_000001").mkdir()
        (run / "checkpoint_000001/model.bin").write_bytes(bytes(3000))
        (run / "config.json").write_text('{"of": "checkpoint 1"}')

    head.before_read = go_on
    path = bring(head, tmp_path / "runs")
    assert names(path) == names(run) - LEFT_THERE
    assert all((path / n).read_bytes() == (run / n).read_bytes() for n in names(path))


def test_a_file_that_only_grows_need_not_be_listed_again(head, tmp_path):
    csv, listed = head.results / RUN / "metrics.csv", []
    before = csv.read_bytes()

    def grow(name):
        with csv.open("a") as file:
            file.write("more\n")

    head.before_read = grow
    submit = head.submit_job
    head.submit_job = lambda **job: (listed.append(job), submit(**job))
    assert (bring(head, tmp_path / "runs") / "metrics.csv").read_bytes() == before
    assert len(listed) == 1


def test_a_run_that_never_holds_still_is_an_error(head, tmp_path):
    model = head.results / RUN / MODEL
    head.before_read = lambda name: model.write_bytes(random.randbytes(50_000))
    with pytest.raises(SavannaError, match="changes faster than it can be fetched"):
        bring(head, tmp_path / "runs")
    assert not (tmp_path / "runs" / RUN).exists()


def test_another_copy_is_replaced_only_with_force_and_lends_what_it_has(head, tmp_path):
    path = bring(head, tmp_path / "runs")
    (path / "metrics.csv").write_text("mine")
    head.asked = []
    with pytest.raises(UsageError, match=r"exists and differs\. Replace it with --force"):
        bring(head, tmp_path / "runs")
    assert (path / "metrics.csv").read_text() == "mine" and head.asked == []
    assert_same(head, bring(head, tmp_path / "runs", force=True))
    assert head.asked == [("metrics.csv", -1)]


def test_two_fetches_do_not_write_one_folder(head, tmp_path):
    def second(name):
        head.before_read = lambda name: None
        with pytest.raises(UsageError, match="another `savanna fetch` is writing to"):
            bring(head, tmp_path / "runs")
        head.asked.append("refused")

    head.before_read = second
    assert_same(head, bring(head, tmp_path / "runs"))
    assert "refused" in head.asked


def test_what_is_no_run_and_what_leads_elsewhere(head, tmp_path, monkeypatch):
    (head.results / RUN / "config.json").unlink()
    with pytest.raises(SavannaError, match="is not a run directory"):
        bring(head, tmp_path / "runs")
    (head.results / RUN / "config.json").write_text("{}")
    real = contents._file
    monkeypatch.setattr(contents, "_file", lambda path, name: real(path, f"../../{name}"))
    with pytest.raises(SavannaError, match="leads outside it"):
        bring(head, tmp_path / "runs")
    assert not (tmp_path / "config.json").exists()


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (lambda text: text.rpartition(contents.END)[0], "is incomplete"),
        (lambda text: text.replace('"data": "e30="', '"data": "eX0="'), "arrived damaged"),
        (lambda text: text.replace('"sha256"', '"sha1"'), "list of the run's files is damaged"),
    ],
)
def test_a_damaged_list_is_refused(head, tmp_path, change, says):
    submit = head.submit_job

    def damage(submission_id, **job):
        submit(submission_id=submission_id, **job)
        log = head.logs / f"job-driver-{submission_id}.log"
        log.write_text(change(log.read_text()))

    head.submit_job = damage
    with pytest.raises(SavannaError, match=says):
        bring(head, tmp_path / "runs")
    assert not (tmp_path / "runs" / RUN).exists()


@pytest.mark.parametrize(("terminal", "shown"), [(True, "\r"), (False, "\n")])
def test_how_far_it_is(terminal, shown, monkeypatch):
    now = iter([0.0, *(11.0 * i for i in range(1, 9))])
    monkeypatch.setattr(receive.time, "monotonic", lambda: next(now))
    stream = io.StringIO()
    stream.isatty = lambda: terminal
    meter = receive.Meter(RUN, 40_000_000, stream)
    meter.done = 10_000_000  # it was here
    meter.add(22_000_000)
    meter.close()
    said = [part.strip() for part in stream.getvalue().split(shown) if part.strip()]
    assert said == [
        "pong/r1: 32.0 of 40.0 MB (80%), 1.0 MB/s",
        "pong/r1: 32.0 of 40.0 MB (80%), 0.7 MB/s",
    ]
