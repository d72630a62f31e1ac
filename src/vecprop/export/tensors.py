"""The layers of a network as the tensors of a file, and back."""

from vecprop.backend.contract import to_host
from vecprop.nn.array_checks import check_params
from vecprop.nn.network import Network
from vecprop.propagation import Params
from vecprop.utils.tensor_file import Tensors


def layers_to_tensors(params: Params) -> Tensors:
    """Return {"W1": …, "b1": …, …} on the host."""
    return {f"{n}{l}": to_host(a) for l, layer in enumerate(params, 1) for n, a in layer._asdict().items()}


def layers_from_tensors(tensors: Tensors, net: Network) -> Params:
    """Return the layers of a network from tensors of these names, checked."""
    layers = [(tensors[f"W{l}"], tensors[f"b{l}"]) for l in range(1, len(net.sizes))]
    return check_params(net, layers).params
