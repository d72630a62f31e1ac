"""Looking at a network: checked gradients, the explanation, the diagnosis, the ladder's benchmark, pictures."""
