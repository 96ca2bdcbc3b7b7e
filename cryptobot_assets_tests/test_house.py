"""House rules that the code is held to: floors, homes of libraries, and a domain without clock or environment."""

from __future__ import annotations

import ast
import re
import sys
import tomllib
from collections.abc import Iterator
from functools import cache
from importlib.metadata import packages_distributions
from pathlib import Path

import pytest

PACKAGE = "cryptobot_assets"
ROOT = Path(__file__).resolve().parents[1]

FLOORS = (
    {"ahead", "errors", "health_check", "interrupts", "linux", "plugins", "progress"},
    {
        "automation_settings",
        "cluster_settings",
        "secret_files",
        "service_settings",
        "settings",
        "domain",
        "home",
        "plugged",
        "process_guard",
        "processes",
        "profile",
    },
    {"models", "storage", "alerts"},
    {
        "audit",
        "cluster",
        "decay",
        "feature_worth",
        "partitions",
        "pools",
        "resources",
        "holdout",
        "leaderboard",
        "overfitting",
        "page",
        "paper",
        "report",
        "universe",
        "wholeness",
    },
    {"checks"},
    {"assets"},
    {"automation"},
    {"definitions"},
    {"code_server", "deployment", "dagster_home", "lineage", "monitoring"},
    {"cli"},
)
"""Lowest first; a part may import its own floor and those below."""

BESIDE = {
    "exchange": {"errors", "domain", "exchange"},
    "serving": {"errors", "linux", "settings", "domain", "models", "storage", "serving"},
    "dashboard": {
        "errors",
        "settings",
        "profile",
        "domain",
        "storage",
        "leaderboard",
        "report",
        "page",
        "dashboard",
    },
    "contracts": {"errors", "domain", "plugged", "models", "storage", "contracts"},
}
"""Parts that stand beside the floors, and all they may import."""

HOMES = {
    "arch": ("domain/bootstrap.py", "domain/significance.py"),
    "purgedcv": ("domain/significance.py",),
    "river": ("domain/decay.py",),
    "deltalake": ("storage/lake",),
    "duckdb": ("storage/sql.py",),
    "requests": (
        "storage/http.py",
        "storage/mlflow_client.py",
        "alerts/webhook.py",
        "processes.py",
        "cli/",
        "dashboard/service.py",
    ),
    "mlflow": ("storage/mlflow_client.py", "storage/mlflow_gate.py"),
    "psycopg2": ("storage/",),
    "adbc_driver_manager": ("storage/postgres",),
    "adbc_driver_postgresql": ("storage/postgres_connection.py",),
    "alembic": ("storage/postgres_schema.py", "storage/migrations/"),
    "sqlalchemy": ("storage/",),
    "optuna": ("models/tuning.py",),
    "xgboost": ("models/xgboost",),
    "catboost": ("models/catboost_trees.py",),
    "sklearn": ("models/linear.py", "models/neural.py", "models/pipelines.py"),
    "skl2onnx": ("models/pipelines.py",),
    "onnxruntime": ("models/onnx_file.py",),
    "matplotlib": ("assets/pictures.py",),
    "jinja2": ("page/render.py",),
    "aiohttp": ("exchange/",),
    "bentoml": ("serving/service.py",),
    "streamlit": ("dashboard/views/",),
    "plotly": ("dashboard/figures",),
    "pytest": ("contracts/",),
    "starlette": ("serving/",),
    "prometheus_client": ("serving/metrics.py", "monitoring/exposition.py"),
    "pydantic": ("automation_settings.py", "cluster_settings.py", "service_settings.py", "settings.py"),
    "pydantic_settings": ("automation_settings.py", "cluster_settings.py", "service_settings.py", "settings.py"),
    "distributed": ("cluster.py",),
    "click": ("cli/",),
    "rich": ("cli/",),
}
"""The files, or folders, that may import a library."""

DOMAIN_LIBRARIES = {"numpy", "polars", "scipy", "arch", "threadpoolctl", "purgedcv", "river"}
CLOCKS_AND_OUTSIDE = {"os", "time", "random", "pathlib", "io", "socket", "subprocess", "logging", "urllib", "tempfile"}

HEAVY = {
    "arch",
    "bentoml",
    "catboost",
    "distributed",
    "matplotlib",
    "mlflow",
    "onnxruntime",
    "purgedcv",
    "river",
    "plotly",
    "skl2onnx",
    "sklearn",
    "streamlit",
    "xgboost",
}
"""Libraries that take a second or 100 MB to import."""

ENVIRONMENT = {
    "dagster_home.py": "tells child processes where the rest of the deployment is",
    "storage/embedded_postgres.py": "hands its own environment to the server it starts",
    "storage/mlflow_client.py": "switches of MLflow's own, which it reads as it is imported",
    "models/xgboost_trees.py": "a switch of OpenMP's own, which it reads as it is loaded",
    "processes.py": "hands its own environment to the processes it starts",
    "cli/": "hands its own environment to the processes it starts",
    "serving/": "hands its own environment to the service it starts",
}
"""Who may touch `os.environ`, and what for; settings are read by `settings.py` alone."""

PART = re.compile(rf"{PACKAGE}(\.\w+)+:\w+(\.\w+)*")
"""Where a part of a catalogue is, as `plugins.Catalogue` has it."""

READ_ELSEWHERE = {"DAGSTER_HOME", "PROMETHEUS_MULTIPROC_DIR", "PYTHONPATH"}
"""Variables of other tools that code outside the settings may read."""


@cache
def sources() -> dict[str, ast.Module]:
    """Every module of the package by its path below it."""
    folder = ROOT / PACKAGE
    return {
        path.relative_to(folder).as_posix(): ast.parse(path.read_text(), str(path))
        for path in sorted(folder.rglob("*.py"))
    }


@cache
def nodes(path: str) -> list[ast.AST]:
    return list(ast.walk(sources()[path]))


@cache
def imported(path: str) -> frozenset[str]:
    """Full names of what a module imports anywhere, what its catalogues of parts import by name included."""
    names = set()
    for node in nodes(path):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            names |= {f"{node.module}.{alias.name}" for alias in node.names}
        elif isinstance(node, ast.Constant) and isinstance(node.value, str) and PART.fullmatch(node.value):
            names.add(node.value.partition(":")[0])
    return frozenset(names)


def libraries(path: str) -> set[str]:
    """Third-party packages that a module imports."""
    tops = {name.split(".")[0] for name in imported(path)}
    return {name for name in tops if name not in sys.stdlib_module_names and name != PACKAGE}


def parts(path: str) -> set[str]:
    """Parts of this package (`domain`, `settings`, ...) that a module imports."""
    return {name.split(".")[1] for name in imported(path) if name.startswith(f"{PACKAGE}.")}


def part_of(path: str) -> str:
    return path.split("/")[0].removesuffix(".py")


def modules(*of: str) -> list[str]:
    """Paths of the modules of some parts, or of all."""
    return [path for path in sources() if not path.endswith("__init__.py") and (not of or part_of(path) in of)]


@cache
def reach(path: str) -> frozenset[str]:
    """Third-party packages that a module imports itself or through other modules of ours."""
    found, seen, ahead = set(), set(), [path]
    while ahead:
        here = ahead.pop()
        if here not in seen:
            seen.add(here)
            found |= libraries(here)
            for name in imported(here):
                inner = name.removeprefix(f"{PACKAGE}.").replace(".", "/")
                ahead += [one for one in (f"{inner}.py", f"{inner.rpartition('/')[0]}.py") if one in sources()]
    return frozenset(found)


@cache
def loaded(path: str) -> frozenset[str]:
    """Third-party packages that importing a module imports, itself or through other modules of ours."""
    found, seen, ahead = set(), set(), [path]
    while ahead:
        here = ahead.pop()
        if here not in seen and here in sources():
            seen.add(here)
            for name in _at_import(sources()[here].body):
                if name.startswith(f"{PACKAGE}."):
                    inner = name.removeprefix(f"{PACKAGE}.").replace(".", "/")
                    ahead += [f"{inner}.py", f"{inner.rpartition('/')[0]}.py"]
                else:
                    found.add(name.split(".")[0])
    return frozenset(found)


def _at_import(body: list[ast.stmt]) -> Iterator[str]:
    """Full names of what statements import when they run; the bodies of functions do not, nor what only types need."""
    for node in body:
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield from (f"{node.module}.{alias.name}" for alias in node.names)
        elif isinstance(node, ast.If | ast.Try | ast.With) and "TYPE_CHECKING" not in ast.dump(node):
            yield from _at_import([*node.body, *getattr(node, "orelse", ()), *getattr(node, "finalbody", ())])


def allowed_parts(part: str) -> set[str]:
    if part in BESIDE:
        return BESIDE[part]
    height = next((n for n, floor in enumerate(FLOORS) if part in floor), None)
    assert height is not None, f"give {part} a floor"
    below = set().union(*FLOORS[: height + 1])
    return below | set(BESIDE) if part in ("cli", "deployment") else below


def test_imports_point_down():
    upward = {path: parts(path) - allowed_parts(part_of(path)) for path in modules()}
    assert {path: names for path, names in upward.items() if names} == {}


def test_the_domain_is_arithmetic_alone():
    for path in modules("domain"):
        assert parts(path) <= {"errors", "domain"}, path
        assert libraries(path) <= DOMAIN_LIBRARIES, path
        assert not {name.split(".")[0] for name in imported(path)} & CLOCKS_AND_OUTSIDE, path
        called = {node.func.attr for node in nodes(path) if _is_method_call(node)}
        assert not called & {"now", "utcnow", "today", "getenv"}, path


def _is_method_call(node: ast.AST) -> bool:
    return isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute)


def test_exchange_serving_dashboard_models_and_domain_never_reach_dagster():
    apart = modules("exchange", "serving", "dashboard", "models", "domain")
    assert [path for path in apart if "dagster" in reach(path)] == []


def test_exchange_and_models_never_reach_the_registry_or_the_store():
    stores = {"mlflow", "deltalake", "duckdb", "psycopg2", "adbc_driver_postgresql", "bentoml"}
    assert {path: reach(path) & stores for path in modules("exchange", "models") if reach(path) & stores} == {}


@pytest.mark.parametrize("path", ["definitions.py", "cli/backfill.py", "storage/registry.py"])
def test_heavy_libraries_are_imported_when_they_are_first_used(path: str):
    assert loaded(path) & HEAVY == set()
    assert reach(path) & HEAVY != set()


def test_reach_follows_imports():
    assert {"dagster", "deltalake", "optuna"} <= reach("definitions.py")
    assert "mlflow" in reach("resources.py")
    assert "deltalake" in reach("leaderboard.py")
    assert {"dagster", "polars"} <= loaded("definitions.py")
    assert "onnxruntime" in loaded("models/onnx_file.py")
    assert "deltalake" not in libraries("leaderboard.py")
    assert {"deltalake", "psycopg2"} <= reach("storage/store.py"), "through its catalogue"


@pytest.mark.parametrize("library", HOMES)
def test_a_library_has_one_home(library: str):
    users = [path for path in sources() if library in libraries(path)]
    assert [path for path in users if not path.startswith(HOMES[library])] == []
    assert users, f"nobody uses {library} any more"


def test_every_library_in_use_is_asked_for_by_name():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    for paths, extras in (
        ([path for path in modules() if part_of(path) != "contracts"], []),
        (modules("contracts"), project["optional-dependencies"]["contracts"]),
    ):
        declared = {_plain(re.split(r"[\[<>=!~; ]", one)[0]) for one in (*project["dependencies"], *extras)}
        used = set().union(*(libraries(path) for path in paths))
        provided = packages_distributions()
        assert {name for name in used if not {_plain(one) for one in provided.get(name, [name])} & declared} == set()


def test_only_tests_import_the_contracts():
    assert [path for path in modules() if "contracts" in parts(path) and part_of(path) != "contracts"] == []


def _plain(distribution: str) -> str:
    return re.sub(r"[-_.]+", "-", distribution).lower()


def touches_environment(found: list[ast.AST]) -> bool:
    wanted = {"environ", "getenv", "putenv"}
    return any(isinstance(node, ast.Attribute) and node.attr in wanted for node in found)


def read_variables(found: list[ast.AST]) -> set[str]:
    """Names of variables read as `os.environ[...]`, `os.environ.get(...)` or `os.getenv(...)`."""
    keys = [
        node.slice
        for node in found
        if isinstance(node, ast.Subscript) and isinstance(node.ctx, ast.Load) and _is_environ(node.value)
    ]
    for node in found:
        if _is_method_call(node) and node.args:
            of_environ = node.func.attr in ("get", "pop") and _is_environ(node.func.value)
            keys += node.args[:1] if of_environ or node.func.attr == "getenv" else []
    return {key.value if isinstance(key, ast.Constant) else ast.unparse(key) for key in keys}


def _is_environ(node: ast.AST) -> bool:
    return isinstance(node, ast.Attribute) and node.attr == "environ"


def test_the_environment_is_read_by_the_settings_alone():
    elsewhere = {path: read_variables(nodes(path)) - READ_ELSEWHERE for path in modules()}
    assert {path: names for path, names in elsewhere.items() if names} == {}
    touching = [path for path in modules() if touches_environment(nodes(path))]
    assert [path for path in touching if not path.startswith(tuple(ENVIRONMENT))] == []


def test_reading_the_environment_would_be_seen():
    text = "import os\na = os.environ['A']\nb = os.environ.get('B')\nc = os.getenv('C')\nos.environ['D'] = 'd'"
    found = list(ast.walk(ast.parse(text)))
    assert read_variables(found) == {"A", "B", "C"}
    assert touches_environment(found)


def test_imports_are_absolute():
    relative = [path for path in modules() for node in nodes(path) if isinstance(node, ast.ImportFrom) and node.level]
    assert relative == []


def test_packages_do_nothing_when_imported():
    assert [path for path, module in sources().items() if path.endswith("__init__.py") and module.body] == []


def test_every_module_says_what_it_is_for():
    assert [path for path in modules() if not ast.get_docstring(sources()[path])] == []


def test_no_except_catches_without_naming_what():
    bare = [path for path in modules() for node in nodes(path) if _is_bare(node)]
    assert bare == []


def _is_bare(node: ast.AST) -> bool:
    return isinstance(node, ast.ExceptHandler) and node.type is None
