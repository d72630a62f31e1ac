"""A library that is missing: the error has the command that installs it."""

import sys
from functools import partial

import vecprop as vp
from helpers import refusals

NET = vp.Network((2, 1))
SHIPPED = ("digits", "breast_cancer", "wine", "iris", "diabetes")


def without(monkeypatch, library, call):
    monkeypatch.setitem(sys.modules, library, None)
    call()


test_the_error_has_the_command = refusals(
    without,
    ("safetensors.numpy", lambda: vp.save("model", NET, NET.init()), "pip install safetensors"),
    ("onnx", lambda: vp.export_onnx((NET, NET.init())), r'ONNX export needs onnx: pip install "vecprop\[onnx\]"'),
    ("torch", lambda: vp.from_torch(None), "pip install torch"),
    ("torch", lambda: vp.to_torch(None), "pip install torch"),
    ("matplotlib.figure", lambda: vp.plots.cost_curve({"cost": [1.0]}), r'pip install "vecprop\[cli\]"'),
    *(
        (
            "sklearn.datasets",
            partial(vp.datasets.load, name),
            rf'^{name} comes with .*pip install "vecprop\[sklearn\]"$',
        )
        for name in SHIPPED
    ),
    error=ImportError,
    fixtures=["monkeypatch"],
)
