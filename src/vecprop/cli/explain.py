"""What `vecprop explain` explains."""

from collections.abc import Sequence

from vecprop.cli.arguments import names
from vecprop.inspection.explanation import Explanation, explain
from vecprop.nn.network import Network


def explanation(
    sizes: Sequence[int],
    m: int | None,
    hidden: str,
    output: str,
    loss: str | None,
    l2: float,
    numbers: bool | None,
    seed: int,
    both: bool,
) -> Explanation:
    """Return the explanation of the network that was described; `both`: --json and --markdown were given."""
    if both:
        raise ValueError("--json and --markdown exclude each other: choose one")
    net = Network(tuple(sizes), names(hidden), output, loss)
    return explain(net, m, l2=l2, numbers="auto" if numbers is None else numbers, seed=seed)
