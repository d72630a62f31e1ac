"""The steps of the forward and the backward pass and their reasons (E9, E11, E14, E15)."""

from collections.abc import Callable, Iterator
from typing import Any

from vecprop.inspection.explanation import activation_texts, loss_texts
from vecprop.inspection.explanation.numbers import number, plain, worked_product
from vecprop.inspection.explanation.parts import Given, Operation, Step, Values, count, units
from vecprop.nn.network import Network

_MOST_TERMS = 6  # of a sum that is written out


class Passes:
    """The steps of one network's passes over m examples; without numbers `values` is empty."""

    def __init__(self, net: Network, m: int, l2: float, values: Values) -> None:
        self.net, self.m, self.l2, self.values = net, m, l2, values
        self.last, self.loss = len(net.activations), loss_texts.describe(net)
        self.n, self.a = net.sizes, ["X", *(f"A{l}" for l in range(1, len(net.sizes)))]
        self.shapes = net.shapes(m)
        self.shapes |= {"J": (), "Ys": self.shapes["Y"], f"dA{self.last}": self.shapes["Y"]}

    def number_of(self, of_one_hidden_layer: str, of_any: str) -> str:
        """Return equation numbers; one hidden layer and logistic regression have their own."""
        if self.last == 1 and of_one_hidden_layer == "E11" and self.net.loss.name == "binary_cross_entropy":
            return f"E4, {of_any}"  # logistic regression
        return f"{of_one_hidden_layer}, {of_any}" if self.last == 2 else of_any

    def step(self, name: str, *operations: Operation, **texts: Any) -> Step:
        """Return a step, with its value if there is one; its name, such as dW2, says in which pass and layer."""
        phase = "backward" if name[0] == "d" else "cost" if name in ("J", "Ys") else "forward"
        layer = self.last if phase == "cost" else int(name.lstrip("dAWZb"))
        role = name.rstrip("0123456789")
        texts = {"code": texts["formula"], "role": role, "value": self.values.get(name)} | texts
        return Step(name, phase, layer, operations=operations, shape=self.shapes[name], **texts)

    def example(self, name: str, terms: int, text: Callable[[Values], str]) -> str:
        """Return entry [0, 0] of a quantity written out, or "" without numbers or with too many terms."""
        if not self.values or terms > _MOST_TERMS:
            return ""
        return f"{name}[0, 0] = {text(self.values)} = {plain(self.values[name][0, 0])}"

    def given(self) -> Iterator[Given]:
        """Yield the quantities that the passes start from."""
        targets = {
            "cross_entropy": "1 in the row of its class and 0 in the others",
            "binary_cross_entropy": f"{count(self.n[self.last], 'label')}, 0 or 1",
        }
        meanings = {
            "X": f"one example per column, {count(self.n[0], 'feature')} each",
            "Y": f"one example per column, {targets.get(self.net.loss.name, 'its targets')}",
        }
        for l in range(1, self.last + 1):
            meanings[f"W{l}"] = f"row j holds the weights into neuron j of layer {l}, from {units(self.net, l - 1)}"
            meanings[f"b{l}"] = f"one bias for each neuron of layer {l}, kept as a column"
        for name, meaning in meanings.items():
            yield Given(name, self.shapes[name], meaning, self.values.get(name))

    def forward(self) -> Iterator[Step]:
        """Yield Z_l and A_l for l = 1 … L."""
        for l in range(1, self.last + 1):
            yield self._pre_activation(l)
            yield self._activation(l)

    def _pre_activation(self, l: int) -> Step:
        W, b, A, Z, n, n_in, m = f"W{l}", f"b{l}", self.a[l - 1], f"Z{l}", self.n[l], self.n[l - 1], self.m
        return self.step(
            Z,
            Operation(f"{(n, n_in)} @ {(n_in, m)} -> {(n, m)}", "matrix product"),
            Operation(f"{(n, m)} + {(n, 1)} -> {(n, m)}", "broadcast"),
            formula=f"{Z} = {W} {A} + {b}",
            code=f"{Z} = {W} @ {A} + {b}",
            equation=self.number_of("E9", "E14"),
            reason=(
                f"Entry [j, i] of {W} @ {A} is row j of {W} (the weights into neuron j) times column i of {A} "
                f"(example i), summed over the {units(self.net, l - 1)}. The rows of {W} are the neurons already, so "
                f"no transpose is needed. A bias belongs to a neuron, not to an example: {b} is one column, and NumPy "
                f"adds it to each of the {count(m, 'column')} (broadcasting)."
            ),
            example=self.example(Z, n_in, lambda v: f"{worked_product(v[W], v[A])} + {number(v[b][0, 0])}"),
        )

    def _activation(self, l: int) -> Step:
        g, n, m = self.net.activations[l - 1], self.n[l], self.m
        text = activation_texts.describe(g, l)
        if g.elementwise:
            reason = "Each entry for itself: the shape stays as it is."
        elif g.name == "softmax":
            reason = (
                f"Each column for itself: its {n} numbers become positive and sum to 1. The maximum is subtracted so "
                "that nothing overflows; it does not change the result."
            )
        else:
            reason = "Each column for itself, from its first row down."
        if l < self.last:
            reason += f" Keep Z{l} and A{l}: the way back needs them."
        elif g.name == "sigmoid":
            reason += " A sigmoid output is a probability: that of y = 1."
        example = self.example(f"A{l}", 1, lambda v: f"{g.name}({plain(v[f'Z{l}'][0, 0])})")
        return self.step(
            f"A{l}",
            Operation(f"{g.name} of {(n, m)} -> {(n, m)}", "elementwise" if g.elementwise else "sum over rows"),
            formula=f"A{l} = {text.formula}",
            code=text.code,
            equation=text.equation,
            reason=reason,
            role=f"A {g.name} {l == self.last}",
            example=example if g.elementwise and g.name not in ("identity", "custom") else "",
        )

    def cost(self) -> Iterator[Step]:
        """Yield J, and before it any smoothed targets."""
        loss, L, m, n = self.net.loss, self.last, self.m, self.n[self.last]
        smoothing = getattr(loss, "smoothing", 0.0)
        if smoothing:
            share = f"{smoothing:g} / {2 if loss.name == 'binary_cross_entropy' else n}"
            yield self.step(
                "Ys",
                Operation(f"scaling of {(n, m)} -> {(n, m)}", "elementwise"),
                formula=f"Ys = {1 - smoothing:g} Y + {share}",
                code=f"Ys = (1 - {smoothing:g}) * Y + {share}",
                equation="E23" if loss.name == "cross_entropy" else "E22",
                reason="Label smoothing: the targets are moved a little away from 0 and 1.",
            )
        text = self.loss
        penalty = " + (λ/2m) Σ_l ‖W_l‖²" if self.l2 else ""
        lines = [*filter(None, [text.before]), f"L = {text.code}", "J = np.sum(L) / m"]
        if self.l2:
            lines += [f"J = J + lam / (2 * m) * np.sum(W{l}**2)" for l in range(1, L + 1)]
        outputs = "" if n == 1 else f" over the {n} outputs of each example and"
        yield self.step(
            "J",
            Operation(f"sum of {(n, m)} -> ()", "sum over examples"),
            formula=f"J = (1/m) Σ L{penalty}, L = {text.formula}",
            code="\n".join(lines),
            equation=f"E10, {text.equation}" + (", E32" if self.l2 else ""),
            reason=(
                f"{text.why} It is summed{outputs} over {count(m, 'example')}, and divided by m: J is the mean over "
                "the examples. This is where every 1/m of the way back comes from."
            ),
        )

    def backward(self) -> Iterator[Step]:
        """Yield dZ_L, then dW_l, db_l, dA_(l-1) and dZ_(l-1) for l = L … 1."""
        yield from self._last_dz()
        for l in range(self.last, 0, -1):
            yield self._weight_gradient(l)
            yield self._bias_gradient(l)
            if l > 1:
                yield self._back_to_units(l)
                yield self._back_through_activation(l - 1, "E11" if self.last == 2 else "")

    def _last_dz(self) -> Iterator[Step]:
        net, L, m, n = self.net, self.last, self.m, self.n[self.last]
        Y = loss_texts.targets(net)
        convention = "Column i is the derivative of the loss of example i alone. "
        convention += "The 1/m of J waits until the examples are summed, in dW and db."
        if not loss_texts.matches(net):
            yield self.step(
                f"dA{L}",
                Operation(f"slope of {(n, m)} -> {(n, m)}", "elementwise"),
                formula=f"dA{L} = {self.loss.slope}",
                code=f"dA{L} = {self.loss.slope_code or self.loss.slope}",
                equation="E25",
                reason=(
                    f"The derivative of the loss with respect to the output. For {net.output.name} with "
                    f"{net.loss.name} it does not simplify to A - Y, so the two factors of the chain rule are taken "
                    "one after the other. " + convention
                ),
                role="dA_L",
            )
            more = self.loss.rearranged if net.output.open_unit_interval else ""
            yield self._back_through_activation(L, "E25", more)
            return
        example = self.example(f"dZ{L}", 1, lambda v: f"{number(v[f'A{L}'][0, 0])} - {number(v['Y'][0, 0])}")
        yield self.step(
            f"dZ{L}",
            Operation(f"{(n, m)} - {(n, m)} -> {(n, m)}", "elementwise"),
            formula=f"dZ{L} = A{L} - {Y}",
            equation=self.number_of("E11", self.loss.equation),
            reason=f"{self.loss.cancels} {convention}",
            role="dZ_L",
            example=example if Y == "Y" else "",
        )

    def _weight_gradient(self, l: int) -> Step:
        W, dZ, A, n, n_in, m = f"W{l}", f"dZ{l}", self.a[l - 1], self.n[l], self.n[l - 1], self.m
        name = f"d{W}"

        def example(v: Values) -> str:
            penalty = f" + {self.l2:g}/{m}·{number(v[W][0, 0])}" if self.l2 else ""
            return f"({worked_product(v[dZ], v[A].T)}) / {m}{penalty}"

        decay = (f" + (λ/m) {W}", f" + lam / m * {W}") if self.l2 else ("", "")
        more = (Operation(f"{(n, n_in)} + {(n, n_in)} -> {(n, n_in)}", "elementwise"),) if self.l2 else ()
        return self.step(
            name,
            Operation(f"{(n, m)} @ {(m, n_in)} -> {(n, n_in)}", "matrix product"),
            Operation(f"{(n, n_in)} / m -> {(n, n_in)}", "elementwise"),
            *more,
            formula=f"{name} = (1/m) {dZ} {A}ᵀ{decay[0]}",
            code=f"{name} = {dZ} @ {A}.T / m{decay[1]}",
            equation=self.number_of("E11", "E15") + (", E32" if self.l2 else ""),
            reason=(
                f"The weight {W}[j, k] was used once for every example, in Z{l}[j, i] = … + {W}[j, k] {A}[k, i]. So "
                f"its derivative collects from all of them: (1/m) Σ_i {dZ}[j, i] {A}[k, i]. A matrix product sums "
                f"over the inner size, so the examples have to be the inner size ({m}). In {dZ} they are: they are its "
                f"columns. {A} must be transposed to have them as its rows. 1/m stands here because here the examples "
                "are summed."
            )
            + (f" The penalty adds (λ/m) {W}; the biases are not penalised." if self.l2 else ""),
            example=self.example(name, m, example),
        )

    def _bias_gradient(self, l: int) -> Step:
        name, dZ, n, m = f"db{l}", f"dZ{l}", self.n[l], self.m
        return self.step(
            name,
            Operation(f"sum of {(n, m)} over axis 1, keepdims -> {(n, 1)}", "sum over examples"),
            Operation(f"{(n, 1)} / m -> {(n, 1)}", "elementwise"),
            formula=f"{name} = (1/m) Σ_columns {dZ}",
            code=f"{name} = np.sum({dZ}, axis=1, keepdims=True) / m",
            equation=self.number_of("E11", "E15"),
            reason=(
                f"b{l} was added to every column, so what comes back is summed over the columns: that is axis 1. A "
                f"sum is what broadcasting becomes on the way back. keepdims=True keeps the shape {(n, 1)}, that of "
                f"b{l}; without it the sum has rank 1, shape {(n,)}, and broadcasts as a row, not as a column."
            ),
            example=self.example(name, m, lambda v: f"({' + '.join(map(number, v[dZ][0]))}) / {m}"),
        )

    def _back_to_units(self, l: int) -> Step:
        W, dZ, dA, n, n_in, m = f"W{l}", f"dZ{l}", f"dA{l - 1}", self.n[l], self.n[l - 1], self.m
        return self.step(
            dA,
            Operation(f"{(n_in, n)} @ {(n, m)} -> {(n_in, m)}", "matrix product"),
            formula=f"{dA} = {W}ᵀ {dZ}",
            code=f"{dA} = {W}.T @ {dZ}",
            equation=self.number_of("E11", "E15"),
            reason=(
                f"Unit k of layer {l - 1} went into every neuron j of layer {l} with the weight {W}[j, k]. So its "
                f"derivative collects from all of them, with the same weights: Σ_j {W}[j, k] {dZ}[j, i]. Now the "
                f"neurons of layer {l} are summed, so they have to be the inner size. They are the rows of {W}; the "
                "transpose makes them its columns. Each example keeps its own column. The examples are not summed "
                "here, so there is no 1/m."
            ),
            example=self.example(dA, n, lambda v: worked_product(v[W].T, v[dZ])),
        )

    def _back_through_activation(self, l: int, equation: str, more: str = "") -> Step:
        g, n, m = self.net.activations[l - 1], self.n[l], self.m
        text, dZ, dA, example = activation_texts.describe(g, l), f"dZ{l}", f"dA{l}", ""
        if g.name == "identity":
            operation, why = Operation(f"copy of {(n, m)} -> {(n, m)}", "elementwise"), ""
        elif g.elementwise:
            operation = Operation(f"{(n, m)} * {(n, m)} -> {(n, m)}", "elementwise")
            why = (
                f"An entry of Z{l} made the same entry of A{l} and no other. So the chain rule multiplies entry by "
                "entry, ∘ on paper and * in NumPy: not a matrix product, nothing is summed. "
            )
        else:
            operation, why = Operation(f"jacobian of {(n, m)} -> {(n, m)}", "sum over rows"), ""
        if self.values and g.elementwise and dA in self.values and (d := self.values[dA][0, 0]):
            example = self.example(dZ, 1, lambda v: f"{dA}[0, 0]·g′ = {number(d)}·{number(v[dZ][0, 0] / d)}")
        own = text.equation if text.equation != "E14" else ""
        return self.step(
            dZ,
            operation,
            formula=f"{dZ} = {text.back}",
            code=text.back_code,
            equation=", ".join(dict.fromkeys(filter(None, (equation or "E15", own)))),
            reason=why + text.why + more,
            role=f"dZ {g.name}",
            example=example,
        )
