"""The training engine: `fit`, optimizers, schedules, early stopping, checkpoints, results."""
