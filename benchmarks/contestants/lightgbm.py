"""LightGBM's LGBMClassifier and LGBMRegressor."""

from typing import ClassVar

from benchmarks.contestants.tables import WithFrames


class LightGBM(WithFrames):
    """It takes categories as they are."""

    needs = ("lightgbm",)
    kinds = ("LGBMRegressor", "LGBMClassifier")
    options: ClassVar = {"verbose": -1, "n_jobs": 1}
