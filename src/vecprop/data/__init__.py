"""Data sets: generated, from tables, sparse, and streamed from files larger than memory."""
