"""Parts of a network: activations, losses, initializers, layers and their checks, metrics."""
