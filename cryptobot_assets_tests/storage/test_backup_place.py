"""Places of files: a directory and a bucket on a real server, alike; and how files become objects."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from itertools import count
from pathlib import Path

import pytest

from cryptobot_assets.errors import StoreError, UsageError
from cryptobot_assets.settings import Settings
from cryptobot_assets.storage.backup_manifest import Manifest
from cryptobot_assets.storage.backup_objects import PIECE_BYTES, ObjectReader, ObjectWriter
from cryptobot_assets.storage.backup_place import BLOCK_BYTES, DirectoryPlace, Place, PlacedFile, moment, open_place
from cryptobot_assets_tests.storage.s3_server import free_ports, s3_environment, s3_server

pytestmark = pytest.mark.platform

NUMBERS = count(1)
LARGE = os.urandom(3 * BLOCK_BYTES + 5)


@pytest.fixture(scope="module")
def endpoint(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with s3_server(tmp_path_factory.mktemp("s3")) as endpoint:
        yield endpoint


@pytest.fixture(params=["directory", "bucket"])
def place(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Place:
    if request.param == "directory":
        return open_place(str(tmp_path / "a" / "place"), Settings.load(home=tmp_path), private=True)
    for name, value in s3_environment(request.getfixturevalue("endpoint")).items():
        monkeypatch.setenv(name, value)
    return open_place(f"s3://bucket/place/{next(NUMBERS)}", Settings.load(home=tmp_path))


def content(place: Place, name: str) -> bytes:
    return b"".join(place.blocks(name))


def test_files_are_written_listed_read_replaced_and_deleted(place: Place) -> None:
    files = {"b/large": LARGE, "b/c d/é": b"1", "a": b"", "b/c d/e": b"12"}
    assert list(place.files()) == list(place.files("b")) == []
    begun = datetime.now(UTC) - timedelta(seconds=2)
    for name, blocks in files.items():
        place.write(name, [blocks[:3], blocks[3:]])
    assert {file.name: file.size for file in place.files()} == {name: len(blocks) for name, blocks in files.items()}
    assert {file.name for file in place.files("b/c d")} == {"b/c d/é", "b/c d/e"}
    assert all(begun < moment(file.modified) < datetime.now(UTC) + timedelta(seconds=2) for file in place.files())
    assert {name: content(place, name) for name in files} == files
    assert max(map(len, place.blocks("b/large"))) <= BLOCK_BYTES
    place.write("a", [b"other"])
    assert content(place, "a") == b"other"
    for _ in range(2):
        place.delete("b/large")
    assert [file.name for file in place.files()] == ["a", "b/c d/e", "b/c d/é"]
    with pytest.raises(FileNotFoundError):
        content(place, "b/large")


def test_what_cannot_be_reached_is_one_clear_line(
    tmp_path: Path, endpoint: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").write_text("in the way")
    refused = [DirectoryPlace(tmp_path / "file" / "below")]
    for name, value in s3_environment(endpoint).items():
        monkeypatch.setenv(name, value)
    settings = Settings.load(home=tmp_path)
    refused.append(open_place("s3://nowhere/x", settings))
    away = settings.model_copy(update={"s3_endpoint": f"http://127.0.0.1:{free_ports(1)[0]}"})
    refused.append(open_place("s3://bucket/x", away))
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "wr0ng")
    refused.append(open_place("s3://bucket/x", settings))
    for place in refused:
        with pytest.raises(StoreError, match="cannot write ") as refusal:
            place.write("a", [b"1"])
        assert "\n" not in str(refusal.value)
        assert "wr0ng" not in str(refusal.value)


def test_backups_go_to_another_machine_encrypted_unless_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://s3.example.com")
    with pytest.raises(UsageError, match=r"http://s3.example.com is another machine: use https://, or set AWS_ALLOW"):
        open_place("s3://bucket/x", Settings.load(home=tmp_path))
    monkeypatch.setenv("AWS_ALLOW_HTTP", "true")
    open_place("s3://bucket/x", Settings.load(home=tmp_path))


def test_a_write_that_fails_leaves_what_was_there(tmp_path: Path) -> None:
    place = DirectoryPlace(tmp_path / "place")
    place.write("a", [b"whole"])

    def half() -> Iterator[bytes]:
        yield b"ha"
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        place.write("a", half())
    assert [path.read_bytes() for path in (tmp_path / "place").iterdir()] == [b"whole"]


# Files and streams as objects


def make_writer(place: Place, previous: Manifest | None = None) -> ObjectWriter:
    return ObjectWriter(place, previous.objects if previous else {}, previous, lambda size, path: None)


def finish(writer: ObjectWriter, name: str = "2024-01-01T00-00-00Z") -> Manifest:
    return Manifest(name, {}, None, [], [], writer.finish(), writer.entries)


def test_files_of_every_size_come_back(tmp_path: Path) -> None:
    place = DirectoryPlace(tmp_path)
    sizes = {"none": 0, "small": 10, "edge": 999_999, "large": 1_000_000, "pieces": PIECE_BYTES + BLOCK_BYTES + 7}
    files = {name: os.urandom(size) for name, size in sizes.items()}
    writer = make_writer(place)
    for name, blocks in files.items():
        cut = [blocks[at : at + BLOCK_BYTES] for at in range(0, len(blocks), BLOCK_BYTES)]
        writer.add_file(name, PlacedFile(name, len(blocks), 1), cut)
    manifest = finish(writer)
    assert {entry.path: entry.size for entry in manifest.entries} == sizes
    reader = ObjectReader(place, "x")
    assert {entry.path: b"".join(reader.blocks(entry)) for entry in manifest.entries} == files
    assert sum(len(entry.pieces) for entry in manifest.entries) == 6
    assert len(manifest.objects) == 4, "the small ones share one"


def make_lines(rows: range, *, changed: int = -1) -> list[bytes]:
    return [b"%d\t%d.%06d\n" % (row, row == changed, row * 7919 % 1_000_003) for row in rows]


@pytest.mark.parametrize(
    ("lines", "most"),
    [
        (make_lines(range(40_000)), 0.0),
        (make_lines(range(41_000)), 0.1),
        (make_lines(range(40_000), changed=20_000), 0.1),
        (make_lines(range(30_000, 40_000)) + make_lines(range(5_000)), 0.1),
        (make_lines(range(100, 40_000)), 0.1),
    ],
    ids=["same", "longer", "a row changed", "parts in another order", "shorter at its beginning"],
)
def test_a_stream_shares_what_is_alike_with_the_one_before(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, lines: list[bytes], most: float
) -> None:
    monkeypatch.setattr("cryptobot_assets.storage.backup_objects.STREAM_BYTES", 8_000)
    monkeypatch.setattr("cryptobot_assets.storage.backup_objects.LEAST_STREAM_BYTES", 1_000)
    place = DirectoryPlace(tmp_path)
    before = make_writer(place)
    first = stream(before, make_lines(range(40_000)))
    writer = make_writer(place, first)
    (entry,) = stream(writer, lines).entries
    assert b"".join(ObjectReader(place, "x").blocks(entry)) == b"".join(lines)
    assert len(first.entries[0].pieces) > 20
    assert writer.written_bytes <= most * before.written_bytes


def stream(writer: ObjectWriter, lines: list[bytes]) -> Manifest:
    with writer.add_lines("rows") as rows:
        for line in lines:
            rows.write(line)
    return finish(writer)


def test_a_stream_without_a_line_is_an_empty_file(tmp_path: Path) -> None:
    writer = make_writer(DirectoryPlace(tmp_path))
    with writer.add_lines("rows"):
        pass
    (entry,) = finish(writer).entries
    assert (entry.size, entry.pieces) == (0, ())


def test_lines_that_never_say_cut_are_cut_all_the_same(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("cryptobot_assets.storage.backup_objects.PIECE_BYTES", 50_000)
    monkeypatch.setattr("cryptobot_assets.storage.backup_objects.LEAST_STREAM_BYTES", 0)
    monkeypatch.setattr("cryptobot_assets.storage.backup_objects._says_cut", lambda line: False)
    writer = make_writer(DirectoryPlace(tmp_path))
    with writer.add_lines("rows") as stream:
        for _ in range(3):
            stream.write(b"x" * 50_000)
    assert [piece.length for piece in finish(writer).entries[0].pieces] == [50_000] * 3


def test_a_file_is_read_again_unless_it_was_settled_before_the_backup(tmp_path: Path) -> None:
    place = DirectoryPlace(tmp_path)
    now = time.time_ns()
    name = datetime.now(UTC).strftime("%Y-%m-%dT%H-%M-%SZ")
    for modified, again in ((now - 60 * 10**9, False), (now - 10**9, True)):
        first = make_writer(place)
        first.add_file("f", PlacedFile("f", 3, modified), [b"one"])
        second = make_writer(place, finish(first, name))
        second.add_file("f", PlacedFile("f", 3, modified), [b"two"])
        (entry,) = finish(second).entries
        assert b"".join(ObjectReader(place, "x").blocks(entry)) == (b"two" if again else b"one")
