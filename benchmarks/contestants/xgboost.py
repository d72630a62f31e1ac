"""XGBoost's XGBClassifier and XGBRegressor."""

from typing import ClassVar

from benchmarks.contestants.tables import WithFrames


class XGBoost(WithFrames):
    """It takes categories as they are."""

    needs = ("xgboost",)
    kinds = ("XGBRegressor", "XGBClassifier")
    options: ClassVar = {"enable_categorical": True, "n_jobs": 1}
