"""The training engine: `fit`, its loop, optimizers, schedules, early stopping, checkpoints and results."""
