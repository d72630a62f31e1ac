"""Models of public tables: one thread, three splits, and what a fit takes of the processor."""

import time
import warnings
from typing import Any, ClassVar

import numpy as np
from threadpoolctl import threadpool_limits

import vecprop as vp
from benchmarks.contestants.base import Participant, Timed, import_or_unavailable


class OnTables(Participant):
    """A model of a table; run k has the split of `vecprop train --seed k`.

    The time is that of preparing, training and predicting the test rows. Imports are not in it. `predict` learns from
    the rows known, and returns numbers (m,) or probabilities (m, classes) of the test rows.
    """

    each_is_a_first = True
    needs: tuple[str, ...] = ()

    def __init__(self, work: Any, frame: Any) -> None:
        self.work, self.frame, self.seed = work, frame, 0
        self.task = "regression" if work.regression else "classification"
        self.library, *_ = [import_or_unavailable(name) for name in self.needs]
        self.y, self.classes = (plan := self.plan()).target.coded(plan.table)
        self.build()

    def build(self) -> None:
        """Bring the table into the form that users of the library have it in."""

    def plan(self) -> Any:
        return vp.tabular.plan(vp.tabular.table_of(self.frame), self.work.target, task=self.task)

    def train(self, runs: int) -> Timed:  # noqa: ARG002 - one run is one split
        # imported here: they need polars, and the other parts of a run do not
        from vecprop.tabular.scores import of_classes, of_numbers
        from vecprop.tabular.training import split

        *known, test = split(self.y, None, self.task, vp.tabular.Settings(seed=self.seed))
        with threadpool_limits(1), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            begin, busy = time.perf_counter(), time.process_time()
            found = self.predict(np.concatenate(known), test)
            seconds, processor = time.perf_counter() - begin, time.process_time() - busy
        self.seed += 1
        if self.work.regression:
            scores, names = of_numbers(self.y[test], found), ("r2", "root_mean_squared_error")
        else:
            logs = np.log(np.clip(found, 1e-12, 1))
            scores, names = of_classes([(self.y[test], logs)], np.arange(len(self.classes))), ("accuracy", "log_loss")
        return Timed(seconds, None, None, *(scores[name] for name in names), processor)


class VecpropTables(OnTables):
    """`vecprop.tabular` as it is: the pack. It also fits the linear model, and scores both."""

    needs = ("vecprop.estimators.pack", "polars")
    backend = "numpy"
    settings: ClassVar[dict[str, Any]] = {}

    def predict(self, known: np.ndarray, test: np.ndarray) -> np.ndarray:  # noqa: ARG002 - it draws the same split
        settings = vp.tabular.Settings(seed=self.seed, backend=self.backend, **self.settings)
        model = vp.tabular.train(self.plan(), settings).model
        rows = self.frame.iloc[test].drop(columns=self.work.target)
        return model.predict(rows) if self.work.regression else model.predict_proba(rows)


class WithFrames(OnTables):
    """A library with scikit-learn's interface, for which texts become pandas' categories, and dates numbers."""

    name = ""  # what its two kinds of models have in common
    options: ClassVar[dict[str, Any]] = {}

    def build(self) -> None:
        pandas = import_or_unavailable("pandas")
        self.X = self.frame.drop(columns=self.work.target)
        for name in self.X.select_dtypes(exclude=["number", "bool"]):
            texts = self.X.pop(name)
            if not texts.dropna().astype(str).head(50).str.match(r"\d{4}-\d\d-\d\d").all():
                self.X[name] = texts.astype("category")
                continue
            dates = pandas.to_datetime(texts, utc=True).dt
            self.X[f"{name}_days"] = dates.tz_localize(None).astype("datetime64[s]").astype("int64") / 86_400
            self.X[f"{name}_month"], self.X[f"{name}_weekday"] = dates.month, dates.dayofweek
            self.X[f"{name}_hour"] = dates.hour
        self.X = self.X.loc[:, self.X.nunique(dropna=False) > 1]
        self.categories = list(self.X.select_dtypes("category"))

    def model(self) -> Any:
        kind = getattr(self.library, self.name + ("Regressor" if self.work.regression else "Classifier"))
        return kind(random_state=self.seed, **self.options)

    def predict(self, known: np.ndarray, test: np.ndarray) -> np.ndarray:
        model = self.model().fit(self.X.iloc[known], self.y[known])
        return (model.predict if self.work.regression else model.predict_proba)(self.X.iloc[test])


class CatBoost(WithFrames):
    """It takes categories as texts, without gaps."""

    needs, name = ("catboost",), "CatBoost"

    def build(self) -> None:
        super().build()
        self.options = {"verbose": 0, "thread_count": 1, "allow_writing_files": False, "cat_features": self.categories}
        self.X[self.categories] = self.X[self.categories].astype(object).fillna("missing").astype(str)


class RealMLP(WithFrames):
    """With tuned defaults, and gaps filled with the median; for classes as its authors recommend it for log-loss."""

    needs, name = ("pytabkit",), "RealMLP_TD_"

    def build(self) -> None:
        super().build()
        self.X = self.X.fillna(self.X.median(numeric_only=True))
        more = {} if self.work.regression else {"val_metric_name": "cross_entropy", "use_ls": False}
        self.options = {"device": "cpu", "n_threads": 1, **more}


class MLPOnTables(WithFrames):
    """Gaps filled with the median, categories as 0 and 1, numbers and the target scaled to unit variance."""

    needs = ("sklearn.neural_network", "sklearn.compose", "sklearn.preprocessing", "sklearn.pipeline", "sklearn.impute")
    name = "MLP"

    def model(self) -> Any:
        from sklearn.compose import TransformedTargetRegressor, make_column_transformer
        from sklearn.impute import SimpleImputer
        from sklearn.pipeline import make_pipeline
        from sklearn.preprocessing import OneHotEncoder, StandardScaler

        numbers = make_pipeline(SimpleImputer(strategy="median"), StandardScaler())
        texts = OneHotEncoder(handle_unknown="ignore", sparse_output=False)
        prepared = make_column_transformer((texts, self.categories), remainder=numbers)
        model = make_pipeline(prepared, super().model())
        return TransformedTargetRegressor(model, transformer=StandardScaler()) if self.work.regression else model
