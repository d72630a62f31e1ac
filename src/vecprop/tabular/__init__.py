"""Networks trained on tables with numbers, categories, dates and missing values.

The library behind `vecprop train` and `vecprop predict`:

>>> import polars
>>> from vecprop import tabular
>>> houses = polars.DataFrame({"area": range(40, 140), "town": ["Ulm", "Bonn"] * 50})
>>> houses = houses.with_columns(price=3000.0 * polars.col("area") + 20_000 * (polars.col("town") == "Ulm"))
>>> trained = tabular.train(tabular.plan(tabular.table_of(houses), "price"))
>>> trained.scores["network"]["r2"] > 0.99
True
>>> prices = trained.model.predict(polars.DataFrame({"town": ["Ulm"], "area": [100]}))
>>> bool(abs(prices[0] - 320_000) < 10_000)
True
"""

from vecprop.data.spelling import Spelling
from vecprop.data.tables import Table, read, table_of
from vecprop.tabular.large_tables import LargeTable, scan
from vecprop.tabular.model import TableModel
from vecprop.tabular.preparation import Choices, Preparation, plan
from vecprop.tabular.targets import Target
from vecprop.tabular.training import Settings, Trained, train

__all__ = [
    "Choices",
    "LargeTable",
    "Preparation",
    "Settings",
    "Spelling",
    "Table",
    "TableModel",
    "Target",
    "Trained",
    "plan",
    "read",
    "scan",
    "table_of",
    "train",
]
