"""The shape of every quantity, from the layer sizes and m alone (E16)."""


class ShapeTable(dict[str, tuple[int, ...]]):
    """The shape of each quantity by name, in order of computation; printing it shows a table."""

    def __str__(self) -> str:
        width = max(len(name) for name in self)
        return "\n".join(f"{name:<{width}}  {shape}" for name, shape in self.items())


def shape_table(sizes: tuple[int, ...], m: int) -> ShapeTable:
    """Return the shapes of X, Y, and of W_l, b_l, Z_l, A_l and their gradients in every layer l.

    >>> print(shape_table((2, 1), m=5))
    X    (2, 5)
    W1   (1, 2)
    b1   (1, 1)
    Z1   (1, 5)
    A1   (1, 5)
    Y    (1, 5)
    dZ1  (1, 5)
    dW1  (1, 2)
    db1  (1, 1)
    """
    last = len(sizes) - 1
    table = ShapeTable(X=(sizes[0], m))
    for l in range(1, last + 1):
        table[f"W{l}"] = (sizes[l], sizes[l - 1])
        table[f"b{l}"] = (sizes[l], 1)
        table[f"Z{l}"] = table[f"A{l}"] = (sizes[l], m)
    table["Y"] = (sizes[last], m)
    for l in range(last, 0, -1):
        if l < last:
            table[f"dA{l}"] = (sizes[l], m)
        table[f"dZ{l}"] = (sizes[l], m)
        table[f"dW{l}"] = table[f"W{l}"]
        table[f"db{l}"] = table[f"b{l}"]
    return table
