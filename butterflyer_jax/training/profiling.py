"""Peak speed of the devices, their utilisation, and profiler traces of some steps."""

from __future__ import annotations

import os
import time
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp

from butterflyer_jax.config import ProfileConfig

# Side of the square matrices whose product measures the peak: large enough to be bound by arithmetic.
PEAK_SIDE, PEAK_SIDE_CPU = 8192, 1024
PEAK_SECONDS = 0.2


def measure_peak_flops(dtype: Any) -> float:
    """Returns the floating-point operations per second of one device in a product of large matrices.

    The speed of a step is compared with it: unlike the data sheet's figure it needs no table of devices, and it can be
    reached.
    """
    device = jax.local_devices()[0]
    side = PEAK_SIDE_CPU if device.platform == "cpu" else PEAK_SIDE
    x = jax.device_put(jnp.full((side, side), 0.5, dtype), device)
    multiply = jax.jit(jnp.matmul)
    multiply(x, x).block_until_ready()
    fastest, deadline = float("inf"), time.perf_counter() + PEAK_SECONDS
    while time.perf_counter() < deadline:
        start = time.perf_counter()
        # Several at once, so that the time to launch one does not count.
        products = [multiply(x, x) for _ in range(4)]
        jax.block_until_ready(products)
        fastest = min(fastest, (time.perf_counter() - start) / len(products))
    return 2.0 * side**3 / fastest


@dataclass(frozen=True)
class Cost:
    """Computation per image, and the peak of the devices.

    Attributes:
      flops_per_image: floating-point operations that training on one image needs.
      num_devices: number of devices that share the batch.
      peak_flops: peak floating-point operations per second of one device.
    """

    flops_per_image: float
    num_devices: int
    peak_flops: float

    def figures(self, images_per_second: float) -> dict[str, float]:
        """Returns images/s and TFLOP/s per device, and mfu, the share of the peak that is used.

        mfu is the model FLOPs utilisation of Chowdhery et al. 2022 (arXiv:2204.02311).
        """
        per_device = images_per_second / self.num_devices
        flops = per_device * self.flops_per_image
        return {
            "images_per_second_per_device": round(per_device, 2),
            "tflops_per_device": round(flops / 1e12, 4),
            "mfu": round(flops / self.peak_flops, 4),
        }


class ProfileWindow:
    """Traces the steps that a config selects; does nothing if it selects none."""

    def __init__(self, config: ProfileConfig, folder: str | os.PathLike[str]) -> None:
        """Prepares to write traces into `folder`."""
        self._first, self._last = config.start_step, config.start_step + config.num_steps
        self._folder = os.fspath(folder)
        self._running = False

    def before_step(self, step: int, state: Any) -> None:
        """Starts or stops the trace where it is due.

        Args:
          step: number of steps done.
          state: state after the last of them, waited for before the trace starts or stops.
        """
        if self._running and step >= self._last:
            self._stop(state)
        elif not self._running and self._first <= step < self._last:
            jax.block_until_ready(state)
            jax.profiler.start_trace(self._folder)
            self._running = True

    def close(self, state: Any) -> None:
        """Stops a running trace."""
        if self._running:
            self._stop(state)

    def _stop(self, state: Any) -> None:
        # Steps that were queued belong to the window.
        jax.block_until_ready(state)
        jax.profiler.stop_trace()
        self._running = False
        # The window is traced once.
        self._first = self._last
