"""A drop in a bucket: moto's S3 server, reached by the usual environment variables."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from typing import Any

import pytest
from dropped_inbox import Inbox

from platform_core.ingestion.drops import DropLocationError


@pytest.fixture(scope="module")
def server() -> Iterator[str]:
    from moto.server import ThreadedMotoServer

    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = int(probe.getsockname()[1])
    server = ThreadedMotoServer("127.0.0.1", port, verbose=False)
    server.start()
    yield f"http://127.0.0.1:{port}"
    server.stop()


@pytest.fixture
def bucket(inbox: Inbox, server: str, monkeypatch: pytest.MonkeyPatch) -> Any:
    """A fresh bucket, and the environment of a process that may use it."""
    import s3fs

    for name, value in {
        "AWS_ENDPOINT_URL": server,
        "AWS_ACCESS_KEY_ID": "test",
        "AWS_SECRET_ACCESS_KEY": "test",
        "AWS_DEFAULT_REGION": "us-east-1",
    }.items():
        monkeypatch.setenv(name, value)
    s3fs.S3FileSystem.clear_instance_cache()
    store = s3fs.S3FileSystem()
    name = f"drops-{inbox.repo.name.replace('_', '-')}"
    store.mkdir(name)
    inbox.declaration = {"location": f"s3://{name}/inbox", "pattern": "**/*.csv"}
    yield store, f"{name}/inbox"
    store.rm(name, recursive=True)
    s3fs.S3FileSystem.clear_instance_cache()


def test_new_changed_and_broken_objects(inbox: Inbox, bucket: Any) -> None:
    store, root = bucket
    store.pipe_file(f"{root}/2026/a.csv", b"id\n1\n2\n")
    store.pipe_file(f"{root}/bad.csv", b"id\n1,2\n")
    waited: list[float] = []
    result = inbox.look(sleep=waited.append)
    assert (result.rows, [file.path for file in result.quarantined], waited) == (2, ["bad.csv"], []), "objects appear whole"
    assert not store.exists(f"{root}/bad.csv")
    assert store.cat_file(f"{root}/quarantine/bad.csv") == b"id\n1,2\n"
    assert "Line 2 has 2 values" in store.cat_file(f"{root}/quarantine/bad.csv.error.txt").decode()
    assert inbox.look().changed is False
    store.pipe_file(f"{root}/2026/a.csv", b"id\n3\n")
    store.pipe_file(f"{root}/copy.csv", b"id\n3\n")
    (loaded,) = inbox.look().loaded
    assert (loaded.rows, loaded.replaced) == (1, 2)
    assert len(inbox.rows("_file, id")) == 1


def test_a_bucket_where_nothing_may_be_moved(inbox: Inbox, bucket: Any) -> None:
    store, root = bucket
    inbox.declaration["quarantine"] = {"location": "aside", "original": "copy"}
    store.pipe_file(f"{root}/bad.csv", b"id\n1,2\n")
    assert len(inbox.look().quarantined) == 1
    assert store.exists(f"{root}/bad.csv")
    assert (inbox.repo / "aside" / "bad.csv.error.txt").is_file()
    assert inbox.look().quarantined == []


def test_a_bucket_that_does_not_exist_is_named(inbox: Inbox, bucket: Any) -> None:
    inbox.declaration["location"] = "s3://${NO_BUCKET:-no-such-bucket}/inbox"
    with pytest.raises(DropLocationError, match=r"NO_BUCKET.*(does not exist|NoSuchBucket)"):
        inbox.look()
