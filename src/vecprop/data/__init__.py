"""Data sets: generated, from files of tables, sparse, and streamed from files larger than memory."""
