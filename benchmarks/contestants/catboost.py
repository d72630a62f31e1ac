"""CatBoost's CatBoostClassifier and CatBoostRegressor."""

from typing import ClassVar

from benchmarks.contestants.tables import WithFrames


class CatBoost(WithFrames):
    """It takes categories as texts, without gaps."""

    needs = ("catboost",)
    kinds = ("CatBoostRegressor", "CatBoostClassifier")
    options: ClassVar = {"verbose": 0, "thread_count": 1, "allow_writing_files": False}

    def build(self) -> None:
        super().build()
        self.options = self.options | {"cat_features": self.categories}
        self.X[self.categories] = self.X[self.categories].astype(object).fillna("missing").astype(str)
