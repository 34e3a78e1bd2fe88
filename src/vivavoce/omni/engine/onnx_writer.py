"""A small hand for writing ONNX graphs: one method an operator, constants as initialisers, names made up.

We write graphs ourselves rather than trace the PyTorch model: it takes a second instead of a minute, needs only the
`onnx` package, and leaves every constant matrix where the 4- and 8-bit quantiser finds it.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

OPSET = 21
IR_VERSION = 10


class GraphWriter:
    """Collects nodes; values are passed around by name."""

    def __init__(self, name: str) -> None:
        from onnx import TensorProto, helper, numpy_helper

        self._name, self._helper, self._from_array = name, helper, numpy_helper.from_array
        self._types = {"float": TensorProto.FLOAT, "int": TensorProto.INT64}
        self._nodes: list[Any] = []
        self._constants: list[Any] = []
        self._inputs: list[Any] = []
        self._outputs: list[Any] = []
        self._count = 0

    def input(self, name: str, shape: Sequence[int | str], kind: str = "float") -> str:
        """Declare an input; strings are free dimensions."""
        self._inputs.append(self._helper.make_tensor_value_info(name, self._types[kind], list(shape)))
        return name

    def output(self, value: str, name: str, shape: Sequence[int | str], kind: str = "float") -> None:
        """Declare `value` an output by the name `name`."""
        self._nodes.append(self._helper.make_node("Identity", [value], [name]))
        self._outputs.append(self._helper.make_tensor_value_info(name, self._types[kind], list(shape)))

    def constant(self, array: np.ndarray | Sequence[int] | float, hint: str = "c") -> str:
        """An initialiser; floats are float32, whole numbers int64."""
        value = np.asarray(array)
        value = np.ascontiguousarray(value.astype(np.float32 if value.dtype.kind == "f" else np.int64))
        name = self._fresh(hint)
        self._constants.append(self._from_array(value.reshape(np.shape(array)), name))
        return name

    def node(self, operator: str, *inputs: str, outputs: int = 1, **attributes: Any) -> Any:
        """One operator; a name, or a list of them if it has several outputs."""
        names = [self._fresh(operator.lower()) for _ in range(outputs)]
        self._nodes.append(self._helper.make_node(operator, list(inputs), names, name=names[0], **attributes))
        return names[0] if outputs == 1 else names

    def linear(self, x: str, weight: np.ndarray, bias: np.ndarray | None = None) -> str:
        """x @ weight.T + bias, weight [out, in] as PyTorch keeps it."""
        y = self.node("MatMul", x, self.constant(weight.T, "weight"))
        return y if bias is None else self.node("Add", y, self.constant(bias))

    def layer_norm(self, x: str, weight: np.ndarray, bias: np.ndarray, epsilon: float = 1e-5) -> str:
        """Over the last axis."""
        return self.node("LayerNormalization", x, self.constant(weight), self.constant(bias), epsilon=epsilon)

    def rms_norm(self, x: str, weight: np.ndarray, epsilon: float) -> str:
        """Llama's norm, over the last axis; ONNX Runtime fuses it into one kernel."""
        square = self.node("Pow", x, self.constant(2.0))
        mean = self.node("ReduceMean", square, self.constant([-1]), keepdims=1)
        root = self.node("Sqrt", self.node("Add", mean, self.constant(epsilon)))
        return self.node("Mul", self.constant(weight), self.node("Div", x, root))

    def reshape(self, x: str, shape: Sequence[int]) -> str:
        """0 keeps a dimension, -1 is what is left."""
        return self.node("Reshape", x, self.constant(list(shape)))

    def transpose(self, x: str, order: Sequence[int]) -> str:
        """Permute axes."""
        return self.node("Transpose", x, perm=list(order))

    def split(self, x: str, sizes: Sequence[int], axis: int = -1) -> list[str]:
        """Cut along an axis."""
        return self.node("Split", x, self.constant(list(sizes)), outputs=len(sizes), axis=axis)

    def concat(self, parts: Sequence[str], axis: int) -> str:
        """Join along an axis."""
        return self.node("Concat", *parts, axis=axis)

    def finish(self) -> Any:
        """The model (`onnx.ModelProto`)."""
        graph = self._helper.make_graph(self._nodes, self._name, self._inputs, self._outputs, self._constants)
        opsets = [self._helper.make_opsetid("", OPSET), self._helper.make_opsetid("com.microsoft", 1)]
        return self._helper.make_model(graph, opset_imports=opsets, ir_version=IR_VERSION, producer_name="vivavoce")

    def _fresh(self, hint: str) -> str:
        self._count += 1
        return f"{hint}_{self._count}"
