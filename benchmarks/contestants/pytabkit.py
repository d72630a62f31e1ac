"""RealMLP with tuned defaults, from pytabkit."""

from typing import ClassVar

from benchmarks.contestants.tables import WithFrames


class RealMLP(WithFrames):
    """Gaps filled with the median; for classes with the options that its authors recommend for log-loss."""

    needs = ("pytabkit",)
    kinds = ("RealMLP_TD_Regressor", "RealMLP_TD_Classifier")
    options: ClassVar = {"device": "cpu", "n_threads": 1}

    def build(self) -> None:
        super().build()
        self.X = self.X.fillna(self.X.median(numeric_only=True))
        if not self.work.regression:
            self.options = self.options | {"val_metric_name": "cross_entropy", "use_ls": False}
