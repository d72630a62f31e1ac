"""What a network is made of: activations, losses, initializers, layers with their checks, metrics."""
