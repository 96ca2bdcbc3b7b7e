"""What one look keeps for the next: open stores, and answers as long as the tables they were made of stay."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

import streamlit as st

from cryptobot_assets.dashboard.opening import Place, open_models, open_place
from cryptobot_assets.settings import Settings
from cryptobot_assets.storage.registry import Registry
from cryptobot_assets.storage.store import Table

T = TypeVar("T")
KEPT_SECONDS = 3600
MOST_KEPT = 200
LOOK_AGAIN_SECONDS = 30
"""How long the registry is not asked again."""


@st.cache_resource(show_spinner=False)
def settings() -> Settings:
    """The settings of this process."""
    return Settings.load()


@st.cache_resource(show_spinner="Opening the store ...")
def place(url: str) -> Place:
    """The store at an address, opened once a process."""
    return open_place(settings(), url)


@st.cache_resource(show_spinner="Opening the model registry ...")
def models() -> Registry:
    """The registry, opened once a process."""
    return open_models(settings())


def ask(where: Place, query: Callable[..., T], *arguments: object, of: tuple[Table, ...]) -> T:
    """The answer of `query(store, *arguments)`, kept while the tables `of` which it is made stay as they are."""
    key = (where.address, where.version(*of), query.__module__, query.__qualname__, repr(arguments))
    return _answer(key, lambda: _read(where, query, arguments))


def _read(where: Place, query: Callable[..., T], arguments: tuple[object, ...]) -> T:
    with where.lock:
        return query(where.store, *arguments)


@st.cache_data(ttl=KEPT_SECONDS, max_entries=MOST_KEPT, show_spinner="Reading ...")
def _answer(key: tuple[object, ...], _make: Callable[[], T]) -> T:
    return _make()


@st.cache_data(ttl=LOOK_AGAIN_SECONDS, max_entries=MOST_KEPT, show_spinner="Asking the registry ...")
def _looked(key: tuple[object, ...], _make: Callable[[], T]) -> T:
    return _make()


def ask_models(query: Callable[..., T], *arguments: object) -> T:
    """The answer of `query(registry, *arguments)`, asked again after half a minute at the earliest."""
    key = (query.__module__, query.__qualname__, repr(arguments))
    return _looked(key, lambda: query(models(), *arguments))
