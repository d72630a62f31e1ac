"""Mutation testing of the mathematical core: `PYTHONPATH=tests python -m mutation`, that is `make mutants`."""
