"""A local web server for the tests of fetching."""

from __future__ import annotations

import pytest

from helpers.web import Server


@pytest.fixture
def server(monkeypatch):
    monkeypatch.setattr("howfar.fetch.fetching.time.sleep", lambda seconds: None)
    running = Server()
    yield running
    running.http.shutdown()
    running.http.server_close()
