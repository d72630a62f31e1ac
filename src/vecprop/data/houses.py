"""A generated table of house sales, with categories, dates, missing values and prices."""

from __future__ import annotations

import numpy as np

from vecprop.data.spelling import pl
from vecprop.utils import random_streams
from vecprop.utils.arguments import check_integer, check_size

_HOUSES = 302  # the stream of this module (`vecprop.utils.random_streams.generator`)
_DISTRICTS = {  # euros a square metre, and the share of the houses
    "Old Town": (5200.0, 0.12),
    "Riverside": (4300.0, 0.15),
    "Station": (3300.0, 0.22),
    "Garden City": (3700.0, 0.18),
    "Northern Heights": (2900.0, 0.23),
    "Harbour": (2400.0, 0.10),
}
_HEATING = {"gas": 1.0, "district heating": 1.02, "heat pump": 1.07, "oil": 0.95}
_FIRST_DAY, _DAYS = np.datetime64("2019-01-01"), 5 * 365


def houses(m: int = 1000, seed: int = 0) -> pl.DataFrame:
    """Return a table of m houses that were sold, one in each row.

    price = area · rate(district) · condition(age) · factor(heating) · 1.04^(years since 2019) · e^(0.08 · normal)
    + 150 · garden, with condition = 0.72 + 0.28 e^(-age/30). Half of the houses have no garden; for some the year,
    the heating or the garden is unknown. Areas and gardens are in square metres, prices in euros; `built` is a year,
    `sold` a date. TypeError or ValueError for an argument of the wrong kind, or outside its range.

    >>> houses(m=3).columns
    ['district', 'area', 'rooms', 'built', 'heating', 'garden', 'sold', 'price']
    >>> houses(m=3).equals(houses(m=3))
    True
    """
    m = check_integer(m, "m", 1)
    check_size(m, "m", m)
    random = random_streams.generator(seed, _HOUSES)
    rates, shares = np.array(list(_DISTRICTS.values())).T
    district = random.choice(len(rates), m, p=shares / shares.sum())
    area = np.clip(92 * np.exp(0.38 * random.standard_normal(m)), 28, 320).round(1)
    rooms = np.clip((area / 27 + 0.6 * random.standard_normal(m)).round(), 1, 10).astype(np.int64)
    age = np.floor(110 * random.random(m) ** 1.3)
    heating = random.choice(len(_HEATING), m, p=[0.45, 0.2, 0.15, 0.2])
    garden = np.where(random.random(m) < 0.5, 0.0, (350 * random.random(m)).round())
    day = random.integers(_DAYS, size=m)
    warm = np.array(list(_HEATING.values()))[heating]
    condition = 0.72 + 0.28 * np.exp(-age / 30)
    price = area * rates[district] * condition * warm * 1.04 ** (day / 365) * np.exp(0.08 * random.standard_normal(m))
    price += 150 * garden
    sold = _FIRST_DAY + day
    built = sold.astype("datetime64[Y]").astype(np.int64) + 1970 - age.astype(np.int64)
    unknown = {"built": random.random(m) < 0.04, "heating": random.random(m) < 0.05, "garden": random.random(m) < 0.03}
    frame = pl.DataFrame(
        {
            "district": np.array(list(_DISTRICTS))[district],
            "area": area,
            "rooms": rooms,
            "built": built,
            "heating": np.array(list(_HEATING))[heating],
            "garden": garden.astype(np.int64),
            "sold": sold,
            "price": (price / 100).round().astype(np.int64) * 100,
        }
    )
    return frame.with_columns(frame[name].set(pl.Series(where), None) for name, where in unknown.items())
