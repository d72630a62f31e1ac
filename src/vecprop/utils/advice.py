"""Advice on a training run: steps that name arguments, said in the words of `fit`, of an estimator or of a command."""

import re
from collections.abc import Mapping
from typing import Any

# Argument -> what it is called, by default its own name. Steps with one that is None are left out.
Words = Mapping[str, str | None]
FIT: Words = {
    "learning_rate": "learning rate",
    "standardize": "standardize=True",
    "scaled_inputs": "standardize=True",
    "scaled_targets": "train on (Y - mean) / deviation, and scale the outputs back",
    "validation": "validation=0.2",
    "patience": "early stopping (patience=…)",
    "seeds": "other seeds",
    "larger_batches": "larger batches",
    "or_schedule": ", or let a schedule lower it",
    "or_adam": ", or Adam",
    **dict.fromkeys(("targets", "new_seed", "new_split")),
}
ESTIMATOR: Words = {
    **FIT,
    **dict.fromkeys(("standardize", "scaled_inputs"), 'scale="standard"'),
    **dict.fromkeys(("validation", "patience"), "early_stopping=True"),
    "scaled_targets": 'scale_target="standard"',
    "hidden": "activation",
    "l2": "alpha",
}
SCALED: Words = {"standardize": None}  # for inputs that are scaled already
PACK: Words = {  # which chooses all by itself but for its seed
    **ESTIMATOR,
    **dict.fromkeys(("init", "hidden", "activation", "batch_norm", "clip_norm", "l2", "dropout", "units", "layers")),
    **dict.fromkeys(("learning_rate", "larger_batches", "epochs", "patience", "validation", "statistics")),
    **SCALED,
}
# Of the command `train`: for a pack, for its linear model, which has no options, and for networks of one kind
_SEEDS: Words = {
    **dict.fromkeys(("seeds", "new_seed"), "another --seed"),
    "new_split": "another --seed, which splits the rows anew",
}
TRAIN_PACK: Words = {**PACK, **_SEEDS}
TRAIN_LINEAR: Words = {**PACK, **dict.fromkeys(_SEEDS)}
TRAIN: Words = {
    **ESTIMATOR,
    **SCALED,
    **_SEEDS,
    **dict.fromkeys(("init", "clip_norm", "batch_norm", "validation", "statistics")),
    **dict.fromkeys(("hidden", "activation"), "--activation"),
    **dict.fromkeys(("or_schedule", "or_adam"), ""),
    **{name: f"--{name}" for name in ("epochs", "l2", "dropout", "seed")},
    "learning_rate": "--learning-rate",
    "larger_batches": "a larger --batch-size",
    "units": "units (--hidden)",
    "layers": "layers (--hidden)",
}
_NAMED = re.compile(r"\{(\w+)(?::([^}]*))?\}")  # {argument} or {argument:value} in a step
_BETWEEN = re.compile(r"; (?![^()]*\))")  # steps; a semicolon in brackets is part of one


class Advice(str):
    """Text with steps to take, that can be said again in the words of another.

    >>> Advice("a lower {learning_rate}; smaller weights ({init}); L2 ({l2:…})", FIT)
    'a lower learning rate; smaller weights (init); L2 (l2=…).'
    >>> Advice("a lower {learning_rate}; smaller weights ({init}); L2 ({l2:…})", {"init": None, "l2": "--l2"})
    'a lower learning_rate; L2 (--l2).'
    """

    parts: dict[str, Any]

    def __new__(cls, steps: str, words: Words, before: str = "", after: str = ".") -> "Advice":
        """Return the text; `before` and `after` stand around the steps."""

        def word(found: re.Match[str]) -> str:
            name, value = found.groups()
            own = str(words.get(name, name))
            if value is None or not own.startswith("--"):
                return own if value is None else f"{own}={value}"
            return " ".join([own, *value.strip('"…').split()])

        told = [
            _NAMED.sub(word, step)
            for step in _BETWEEN.split(steps)
            if all(words.get(name, "") is not None for name, _ in _NAMED.findall(step))
        ]
        self = super().__new__(cls, f"{before}{'; '.join(told)}{after}" if told else before)
        self.parts = {"steps": steps, "words": words, "before": before, "after": after}
        return self

    def __reduce__(self) -> Any:
        return Advice, (*self.parts.values(),)


def said(text: str, **parts: Any) -> str:
    """Return advice again with other `words`, or other parts around the steps; another text as it is."""
    return Advice(**{**text.parts, **parts}) if isinstance(text, Advice) else text
