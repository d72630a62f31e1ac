"""Mutants that compute the same as the original, each with the reason: {module: {mutant: reason}}."""

EQUIVALENT: dict[str, dict[str, str]] = {}
