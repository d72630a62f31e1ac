"""Tools to inspect a network: gradient check, explanation, diagnosis, benchmark, pictures."""
