"""What the benchmark suites share: the smoke marker, the cap on a loop, and backends that may not be missing."""

import os
from typing import Any

import pytest

from vecprop import Backend, BackendError, get_backend

REQUIRED_VARIABLE = "VECPROP_REQUIRE"


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add --budget."""
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
    """Return the seconds one pass of a loop may take."""
    return request.config.getoption("--budget")  # type: ignore[no-any-return]


def usable_backend(name: str) -> Backend:
    """Return the backend, or skip the test with the reason; a backend named in VECPROP_REQUIRE fails it instead."""
    try:
        return get_backend(name)
    except BackendError as error:
        required = [part.strip() for part in os.environ.get(REQUIRED_VARIABLE, "").split(",")]
        if name in required:
            pytest.fail(f"{REQUIRED_VARIABLE} asks for it: {error}", pytrace=False)
        pytest.skip(str(error))


@pytest.fixture
def backend(request: pytest.FixtureRequest) -> Backend:
    """Return the backend the test is parametrized with, if it can be used."""
    return usable_backend(request.param)
