"""Fixtures of the ingestion tests."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from platform_core.warehouse import Warehouse

sys.path.append(str(Path(__file__).parent))  # for the test double below, shared by the files of this folder

from scripted_source import Source


@pytest.fixture
def make_source(database: Warehouse, tmp_path: Path) -> Callable[..., Source]:
    """Builds a scripted source whose domain is ``sales``."""

    def make(modes: dict[str, str], catalog: list[dict[str, Any]], **options: Any) -> Source:
        return Source(tmp_path, database, modes, catalog, **options)

    return make


@pytest.fixture(scope="module")
def bucket() -> Iterator[str]:
    """An S3 bucket of moto's server, with the environment that points s3fs at it."""
    from moto.server import ThreadedMotoServer
    from s3fs import S3FileSystem

    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    values = {
        "AWS_ENDPOINT_URL": f"http://{host}:{port}",
        "AWS_ACCESS_KEY_ID": "test",
        "AWS_SECRET_ACCESS_KEY": "test",
        "AWS_DEFAULT_REGION": "us-east-1",
    }
    with pytest.MonkeyPatch.context() as patch:
        for name, value in values.items():
            patch.setenv(name, value)
        S3FileSystem.clear_instance_cache()
        S3FileSystem().mkdir(f"lake-{port}")
        yield f"s3://lake-{port}"
        S3FileSystem.clear_instance_cache()
    server.stop()
