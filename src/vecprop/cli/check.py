"""The gradient check of `vecprop check`."""

from typing import Any

from vecprop.backend.selection import get_backend
from vecprop.cli.arguments import integers
from vecprop.cli.options import Parts
from vecprop.inspection.benchmark import random_examples
from vecprop.inspection.gradient_check import GradientReport, check_gradients
from vecprop.nn.network import Network
from vecprop.utils.arguments import check_positive_integer


def gradients(
    sizes: str, parts: Parts, m: int, l2: float, backend: str | None, seed: int
) -> tuple[Network, GradientReport]:
    """Return the network of the options, and the check of its gradients on m random examples."""
    net = parts.network(integers(sizes, "--sizes"))
    target = get_backend(backend)
    params = net.init(seed, dtype="float64", backend=target)
    X, Y = (target.asarray(V) for V in random_examples(net, check_positive_integer(m, "m"), "float64", seed))
    return net, check_gradients(net, params, X, Y, l2=l2, seed=seed)


def as_json(net: Network, report: GradientReport) -> dict[str, Any]:
    """Return the check as values for JSON."""
    return {
        "network": str(net),
        "method": report.method,
        "tolerance": report.tolerance,
        "errors": dict(report),
        "wrong": report.wrong,
        "passed": report.passed,
    }
