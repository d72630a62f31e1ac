"""What the benchmark suites share: the smoke marker, the cap on a loop, and backends that may not be missing."""

from typing import Any

import pytest

from helpers import backend_or_skip
from vecprop import Backend


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--budget", type=float, default=2.0, help="seconds one pass of a loop may take; slower cells are skipped (2.0)"
    )


def pytest_configure(config: pytest.Config) -> None:
    """Register the marker of the cells that are quick enough for every test run, and check --budget."""
    if not config.getoption("--budget") > 0:
        raise pytest.UsageError(f"--budget must be a positive number of seconds, got {config.getoption('--budget')}")
    config.addinivalue_line("markers", "smoke: a quick cell of a benchmark, run to see that it still works")


def pytest_benchmark_update_machine_info(config: pytest.Config, machine_info: dict[str, Any]) -> None:  # noqa: ARG001
    """Leave the computer's name out of the saved results."""
    machine_info.pop("node", None)


@pytest.fixture
def budget(request: pytest.FixtureRequest) -> float:
    return request.config.getoption("--budget")  # type: ignore[no-any-return]


@pytest.fixture
def backend(request: pytest.FixtureRequest) -> Backend:
    return backend_or_skip(request.param)
