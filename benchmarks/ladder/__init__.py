"""Measuring one pass by its rungs: per neuron, per example, vectorized over m examples."""
