"""The ONNX writer: one file for onnxruntime on any machine, uint8 in, probabilities out, any batch."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np

from butterflyer_jax.errors import UserError
from butterflyer_jax.export.network import Network

NAME = "model.onnx"
RUNTIME = "onnxruntime"
NEEDS = ("onnx", "onnxruntime")
READ_NEEDS, READ_NOTE = ("onnxruntime",), ""
# Old enough for runtimes of recent years.
OPSET, IR_VERSION = 17, 9
MAX_BYTES = 2**31 - 2**20
READ = """
import onnxruntime

session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])

def probabilities(images):
    return session.run(["probabilities"], {"image": images})[0]
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
    nodes, arrays = [], {}

    def constant(name: str, array: np.ndarray) -> str:
        arrays[name] = np.ascontiguousarray(array)
        return name

    def add(kind: str, inputs: list[str], output: str, **attributes: Any) -> str:
        nodes.append(helper.make_node(kind, inputs, [output], name=output, **attributes))
        return output

    scale, offset = network.scale_and_offset()
    x = add("Cast", ["image"], "float", to=TensorProto.FLOAT)
    x = add("Mul", [x, constant("scale", scale)], "scaled")
    x = add("Add", [x, constant("offset", offset)], "normalised")
    x = add("Transpose", [x], "channels_first", perm=[0, 3, 1, 2])
    for block in network.blocks:
        for name in block:
            kernel, bias = network.convolution(name)
            weights = [constant(f"{name}/kernel", kernel.transpose(3, 2, 0, 1)), constant(f"{name}/bias", bias)]
            x = add("Conv", [x, *weights], name, kernel_shape=[3, 3], pads=[1, 1, 1, 1])
            x = add("Relu", [x], f"{name}/relu")
        x = add("MaxPool", [x], f"{block[0].partition('_')[0]}_pool", kernel_shape=[2, 2], strides=[2, 2])
    if network.model.head == "gap":
        x = add("GlobalAveragePool", [x], "mean")
    x = add("Flatten", [x], "flat")
    for name in network.dense:
        kernel, bias = network.dense_channels_first(name)
        x = add("Gemm", [x, constant(f"{name}/kernel", kernel), constant(f"{name}/bias", bias)], name)
        if name != "logits":
            x = add("Relu", [x], f"{name}/relu")
    x = add("Div", [x, constant("temperature", np.array(network.temperature, np.float32))], "tempered")
    add("Softmax", [x], "probabilities", axis=-1)

    side = network.image_size
    graph = helper.make_graph(
        nodes,
        network.model.variant,
        [helper.make_tensor_value_info("image", TensorProto.UINT8, ["batch", side, side, 3])],
        [helper.make_tensor_value_info("probabilities", TensorProto.FLOAT, ["batch", len(network.species)])],
        [numpy_helper.from_array(array, name) for name, array in arrays.items()],
    )
    model = helper.make_model(
        graph,
        producer_name="butterflyer_jax",
        opset_imports=[helper.make_opsetid("", OPSET)],
        ir_version=IR_VERSION,
    )
    helper.set_model_props(model, {"species": json.dumps(network.species, ensure_ascii=False)})
    onnx.checker.check_model(model)
    onnx.save(model, path)
