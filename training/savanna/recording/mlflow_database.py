"""MLflow's SQLite file: complete or absent, even if several runs start at once.

MLflow creates a file in some seventy migrations, in place and without a lock. Two runs that do so
at once fail, and one that is interrupted leaves a file that never works again. So we create a new
file completely beside its place, then link it there: the first link wins.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import shutil
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from savanna.errors import SavannaError
from savanna.files import is_temporary

ARTIFACTS_FOLDER = "mlartifacts"
"""Folder beside the file for everything but numbers."""

_BESIDE = ".mlflow-"
_LOCK_SECONDS = 60.0
_UNUSABLE = (
    "the file is damaged or from another version of MLflow. Move it away to get a new one "
    "(`mlflow db upgrade` upgrades an older one). metrics.csv has everything"
)


def sqlite_uri(file: Path) -> str:
    """The URI with which MLflow opens exactly `file`, whatever the names of its folders."""
    quoted = str(file).replace("%", "%25").replace("?", "%3F").replace("#", "%23")
    # For a plain sqlite:///, MLflow would create the folders with the quoted names.
    return f"sqlite{'' if quoted == str(file) else '+pysqlite'}:///{quoted}"


def prepare(uri: str) -> None:
    """Create the SQLite file that `uri` names unless it exists. Ignores other URIs.

    Raises `SavannaError` if there is one that does not work.
    """
    file = _file_of(uri)
    if file is None:
        return
    file.parent.mkdir(parents=True, exist_ok=True)
    if not _is_there(file):
        with _alone_in(file.parent) as alone:
            if not _is_there(file):
                if alone:
                    _clear(file)
                _make(file)
    if not _is_usable(file):
        raise SavannaError(_UNUSABLE)


def _file_of(uri: str) -> Path | None:
    if not uri.startswith("sqlite"):
        return None
    from sqlalchemy import make_url

    name = make_url(uri).database
    if not name or name.startswith((":memory:", "file:")):
        return None
    return Path(name).absolute()


def _is_there(file: Path) -> bool:
    return file.exists() and file.stat().st_size > 0


def _clear(file: Path) -> None:
    """Remove what killed processes left: incomplete files, and one that was only opened."""
    for left in file.parent.glob(f"{_BESIDE}*"):
        shutil.rmtree(left, ignore_errors=True)
    file.unlink(missing_ok=True)


def _make(file: Path) -> None:
    from mlflow.store.tracking.sqlalchemy_store import SqlAlchemyStore

    with tempfile.TemporaryDirectory(
        prefix=_BESIDE, dir=file.parent, ignore_cleanup_errors=True
    ) as folder:
        is_temporary(Path(folder))
        made = Path(folder, file.name)
        store = SqlAlchemyStore(sqlite_uri(made), (file.parent / ARTIFACTS_FOLDER).as_uri())
        store.engine.dispose()
        try:
            os.link(made, file)
        except FileExistsError:
            pass  # another run was faster
        except OSError:  # some network shares have no links
            if not file.exists():
                made.replace(file)


def _is_usable(file: Path) -> bool:
    """Whether MLflow would neither reject the file nor migrate it in place."""
    from mlflow.store.db import utils
    from sqlalchemy.exc import DatabaseError, OperationalError

    engine = utils.create_sqlalchemy_engine(sqlite_uri(file))
    try:
        version = utils._get_schema_version(engine)
        return version == utils._get_latest_schema_revision() and utils._all_tables_exist(engine)
    except OperationalError:  # no permission, or busy: the file itself is fine
        raise
    except DatabaseError:
        return False
    finally:
        engine.dispose()


@contextlib.contextmanager
def _alone_in(folder: Path) -> Iterator[bool]:
    """Hold a lock on `folder`; false if there is none. It only saves work: nobody waits long."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        yield _locked(handle)
    finally:
        os.close(handle)


def _locked(handle: int) -> bool:
    end = time.monotonic() + _LOCK_SECONDS
    while time.monotonic() < end:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return True
        except BlockingIOError:
            time.sleep(0.1)
        except OSError:  # some network shares have no locks
            break
    return False
