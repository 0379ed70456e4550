"""The tf.data decoder: crop windows of JPEGs, decoded by TensorFlow's threads."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
from jaxtyping import Int32, UInt8

from butterflyer_jax import console, extras
from butterflyer_jax.errors import UserError

extras.require("train", "tensorflow", purpose="data.mode=jpeg, unlike data.mode=raw and data.mode=cache,")
with console.without_stderr():
    import tensorflow as tf

# The accelerators are JAX's: TensorFlow would take their memory.
tf.config.set_visible_devices([], "GPU")

# Colour is stored at half the resolution, and the decoder takes no neighbours from outside the part that it decodes:
# with this many more columns on each side, the part is bit-identical to that of the whole decoded photo.
MARGIN = 2

# A decoded photo waits for its turn: with one call per thread, its thread would wait, too.
CALLS_PER_THREAD = 4

JpegBatch = tuple[Sequence[bytes], np.ndarray]


def with_margin(
    windows: Int32[np.ndarray, "n 4"], width: Int32[np.ndarray, " n"]
) -> tuple[Int32[np.ndarray, "n 4"], Int32[np.ndarray, "n 4"]]:
    """Returns the windows to decode for the windows wanted, and the place of these in them.

    Args:
      windows: int32 [n, 4]: top, left, height, width in the photo.
      width: int32 [n], widths of the photos, pixels.

    Returns:
      Two arrays int32 [n, 4]: top, left, height, width in the photo, and in the decoded window.
    """
    top, left, heights, widths = windows.T
    first, end = np.maximum(left - MARGIN, 0), np.minimum(left + widths + MARGIN, width)
    to_decode = np.stack([top, first, heights, end - first], axis=1)
    within = np.stack([np.zeros_like(top), left - first, heights, widths], axis=1)
    return to_decode, within


def decode(
    batches: Iterator[JpegBatch], batch_size: int, side: int, num_threads: int
) -> Iterator[UInt8[np.ndarray, "{batch_size} {side} {side} 3"]]:
    """Yields uint8 [batch_size, side, side, 3]: the part of each photo in the upper left, zeros beside it.

    Args:
      batches: `batch_size` JPEGs each, and int32 [batch_size, 4], the part to decode: top, left, height, width.
      batch_size: number of photos per batch.
      side: side of the canvases, pixels; no part may be larger.
      num_threads: number of threads that decode.

    Raises:
      UserError: a part is not within its photo.
      Exception: `batches` raised it.
    """
    failed: list[BaseException] = []

    def feed() -> Iterator[tuple[np.ndarray, np.ndarray]]:
        try:
            for jpegs, windows in batches:
                yield np.array(jpegs, object), windows
        except BaseException as error:
            # TensorFlow passes on the text alone.
            failed.append(error)
            raise

    signature = (tf.TensorSpec([batch_size], tf.string), tf.TensorSpec([batch_size, 4], tf.int32))
    dataset = tf.data.Dataset.from_generator(feed, output_signature=signature).prefetch(2).unbatch()
    dataset = dataset.map(_decode_part, num_parallel_calls=CALLS_PER_THREAD * num_threads)
    dataset = dataset.padded_batch(batch_size, padded_shapes=(side, side, 3), drop_remainder=True).prefetch(1)
    try:
        yield from dataset.with_options(_options(num_threads)).as_numpy_iterator()
    except tf.errors.OpError as error:
        if failed:
            raise failed[0] from None
        raise UserError(f"the data set is damaged, its index and its JPEGs differ: {error.message}") from error


def _decode_part(jpeg: tf.Tensor, window: tf.Tensor) -> tf.Tensor:
    # The accurate transform costs little, and decodes as Pillow and simplejpeg do.
    return tf.image.decode_and_crop_jpeg(jpeg, window, channels=3, dct_method="INTEGER_ACCURATE")


def _options(num_threads: int) -> tf.data.Options:
    options = tf.data.Options()
    options.deterministic = True
    # Every stage has its size; tuning's own thread can hold up an epoch for seconds.
    options.autotune.enabled = False
    options.threading.private_threadpool_size = num_threads
    return options
