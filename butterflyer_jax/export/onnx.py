"""The ONNX writer: one file for onnxruntime on any machine, uint8 in, probabilities and typicality out, any batch."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from butterflyer_jax.errors import UserError
from butterflyer_jax.export.network import PROBABILITIES, TYPICALITY, Network
from butterflyer_jax.metrics.typicality import CLIP, SMALLEST_DOUBT
from butterflyer_jax.metrics.typicality_layers import SERIES_BELOW, SMALLEST_DISTANCE, TypicalityLayers

NAME = "model.onnx"
RUNTIME = "onnxruntime"
NEEDS = ("onnx", "onnxruntime")
READ_NEEDS, READ_NOTE = ("onnxruntime",), ""
# Old enough for runtimes of recent years.
OPSET, IR_VERSION = 17, 9
MAX_BYTES = 2**31 - 2**20
HAS_TYPICALITY = True
READ = """
import onnxruntime

session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])

def answer(images):
    return dict(zip([output.name for output in session.get_outputs()], session.run(None, {"image": images})))

def probabilities(images):
    return answer(images)["probabilities"]
"""


def write(network: Network, path: Path) -> None:
    """Writes the network; batch normalisation is folded into the convolutions.

    Raises:
      UserError: the network is larger than the format's limit of 2 GiB.
    """
    import onnx
    from onnx import TensorProto, helper, numpy_helper

    if network.num_bytes > MAX_BYTES:
        raise UserError(f"{network.num_bytes / 2**30:.1f} GiB are more than an ONNX file holds: take another format")
    graph = _Graph()
    logits, features = _layers(graph, network)
    x = graph.add("Div", [logits, graph.constant("temperature", np.float32(network.temperature))], "tempered")
    graph.add("Softmax", [x], PROBABILITIES, axis=-1)
    species, side = len(network.species), network.image_size
    outputs = [helper.make_tensor_value_info(PROBABILITIES, TensorProto.FLOAT, ["batch", species])]
    if network.typicality:
        _score(graph, network.typicality, features, logits)
        outputs.append(helper.make_tensor_value_info(TYPICALITY, TensorProto.FLOAT, ["batch"]))
    model = helper.make_model(
        helper.make_graph(
            graph.nodes,
            network.model.variant,
            [helper.make_tensor_value_info("image", TensorProto.UINT8, ["batch", side, side, 3])],
            outputs,
            [numpy_helper.from_array(array, name) for name, array in graph.arrays.items()],
        ),
        producer_name="butterflyer_jax",
        opset_imports=[helper.make_opsetid("", OPSET)],
        ir_version=IR_VERSION,
    )
    facts: dict[str, Any] = {"species": network.species}
    if network.typicality:
        facts["typicality_limit"] = network.typicality.limit
    helper.set_model_props(model, {name: json.dumps(fact, ensure_ascii=False) for name, fact in facts.items()})
    onnx.checker.check_model(model)
    onnx.save(model, path)


class _Graph:
    """The nodes of an ONNX graph in the order of computation, and its constants by name."""

    def __init__(self) -> None:
        self.nodes: list[Any] = []
        self.arrays: dict[str, np.ndarray] = {}

    def constant(self, name: str, array: np.ndarray | np.float32) -> str:
        """Adds a constant; returns its name."""
        self.arrays[name] = np.ascontiguousarray(array)
        return name

    def add(self, kind: str, inputs: Sequence[str], output: str, **attributes: Any) -> str:
        """Adds a node with one output; returns the output's name."""
        from onnx import helper

        self.nodes.append(helper.make_node(kind, inputs, [output], name=output, **attributes))
        return output


def _layers(graph: _Graph, network: Network) -> tuple[str, list[str]]:
    """Adds normalisation and all layers; returns the logits, and the features that a typicality needs."""
    from onnx import TensorProto

    features: list[str] = []
    scale, offset = network.scale_and_offset()
    x = graph.add("Cast", ["image"], "float", to=TensorProto.FLOAT)
    x = graph.add("Mul", [x, graph.constant("scale", scale)], "scaled")
    x = graph.add("Add", [x, graph.constant("offset", offset)], "normalised")
    x = graph.add("Transpose", [x], "channels_first", perm=[0, 3, 1, 2])
    for block in network.blocks:
        for name in block:
            kernel, bias = network.convolution(name)
            kernel = kernel.transpose(3, 2, 0, 1)
            weights = [graph.constant(f"{name}/kernel", kernel), graph.constant(f"{name}/bias", bias)]
            x = graph.add("Conv", [x, *weights], name, kernel_shape=[3, 3], pads=[1, 1, 1, 1])
            x = graph.add("Relu", [x], f"{name}/relu")
            if network.typicality:
                features += _features(graph, x, name)
        x = graph.add("MaxPool", [x], f"{block[0].partition('_')[0]}_pool", kernel_shape=[2, 2], strides=[2, 2])
    if network.model.head == "gap":
        x = graph.add("GlobalAveragePool", [x], "mean")
    x = graph.add("Flatten", [x], "flat")
    for name in network.dense:
        kernel, bias = network.dense_channels_first(name)
        x = graph.add("Gemm", [x, graph.constant(f"{name}/kernel", kernel), graph.constant(f"{name}/bias", bias)], name)
        if name != "logits":
            x = graph.add("Relu", [x], f"{name}/relu")
    return x, features


def _features(graph: _Graph, maps: str, name: str) -> list[str]:
    """Adds mean and standard deviation of maps, channels first; see `models.features`."""
    add = graph.add
    mean = add("ReduceMean", [maps], f"{name}/mean", axes=[2, 3], keepdims=1)
    residual = add("Sub", [maps, mean], f"{name}/residual")
    square = add("Mul", [residual, residual], f"{name}/square")
    variance = add("ReduceMean", [square], f"{name}/variance", axes=[2, 3], keepdims=0)
    return [add("Flatten", [mean], f"{name}/mean/flat"), add("Sqrt", [variance], f"{name}/std")]


def _score(graph: _Graph, layers: TypicalityLayers, features: list[str], logits: str) -> None:
    """Adds the score; see `typicality_layers.score`, of which these are the same steps."""

    def number(name: str, value: float | np.ndarray) -> str:
        return graph.constant(f"typicality/{name}", np.asarray(value, np.float32))

    def op(kind: str, name: str, *inputs: str, **attributes: Any) -> str:
        return graph.add(kind, inputs, f"typicality/{name}", **attributes)

    def row_sum(name: str, x: str) -> str:
        return op("ReduceSum", name, x, graph.constant("typicality/last", np.array([-1])), keepdims=0)

    x = op("Concat", "features", *features, axis=1)
    x = op("Add", "x", op("Mul", "scaled", x, number("scale", layers.scale)), number("offset", layers.offset))
    along = op("MatMul", "along", x, number("basis", layers.basis))
    along = op("Mul", "along_weighted", op("Mul", "along_squared", along, along), number("weights", layers.weights))
    square = op("Mul", "rest", row_sum("norm", op("Mul", "squared", x, x)), number("rest_weight", layers.rest))
    square = op("Add", "square", square, row_sum("along_sum", along))
    linear = op("Gemm", "linear", x, number("classes", layers.classes), number("class_offsets", layers.class_offsets))
    nearest = op("ReduceMin", "nearest_linear", linear, axes=[-1], keepdims=0)
    smallest = number("smallest", SMALLEST_DISTANCE)
    distance = op("Max", "positive", op("Add", "distance", square, nearest), smallest)
    reference = number("reference", layers.reference), number("reference_offset", layers.reference_offset)
    linear = row_sum("reference_row", op("Gemm", "reference_linear", x, *reference))
    reference_distance = op("Max", "positive_reference", op("Add", "reference_distance", square, linear), smallest)
    clipped = op("Clip", "clipped", x, number("low", -CLIP), number("high", CLIP))
    logit = op("Gemm", "logit", clipped, number("head", layers.head), number("head_offset", layers.head_offset))
    logit = op("Max", "floored", row_sum("logit_row", logit), number("floor", layers.floor))
    highest = op("ReduceMax", "highest", logits, axes=[-1], keepdims=1)
    below = op("Less", "below", logits, highest)
    zero, one = number("zero", 0), number("one", 1)
    power = op("Exp", "power", op("Sub", "difference", logits, highest))
    others = row_sum("others_sum", op("Where", "others", below, power, zero))
    equals = op("Sub", "equals", row_sum("highest_count", op("Where", "is_highest", below, zero, one)), one)
    rest = op("Add", "rest_of_classes", others, equals)
    series = op("Sub", "series2", number("half", 0.5), op("Mul", "series3", rest, number("third", 1 / 3)))
    series = op("Sub", "series1", one, op("Mul", "series_inner", rest, series))
    logarithm = op("Log", "log1p", op("Add", "one_more", rest, one))
    small = op("Less", "small", rest, number("series_below", SERIES_BELOW))
    surprise = op("Where", "surprise", small, op("Mul", "series", rest, series), logarithm)
    doubt = op("Log", "doubt", op("Max", "positive_surprise", surprise, number("smallest_doubt", SMALLEST_DOUBT)))
    terms = [op("Log", "log", distance), op("Log", "reference_log", reference_distance), logit, doubt]
    sums = []
    for row, (*weights, shift) in enumerate(layers.sums):
        parts = [
            op("Mul", f"part{row}_{place}", term, number(f"weight{row}_{place}", weight))
            for place, (term, weight) in enumerate(zip(terms, weights, strict=True))
        ]
        sums.append(op("Sum", f"sum{row}", *parts, number(f"shift{row}", shift)))
    graph.add("Max", sums, TYPICALITY)
