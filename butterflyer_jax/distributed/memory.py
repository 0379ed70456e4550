"""The working memory of programs on a CPU: one block, which the C library keeps from step to step.

XLA allocates it before a step and frees it afterwards. glibc maps blocks above 32 MiB anew each time, and the kernel
clears them page by page: 25,000 page faults, 45 of 150 processor milliseconds of a step of VGG16 of a quarter of the
width at 64 pixels (98 MiB). Smaller blocks glibc keeps once one was freed, and raises two thresholds for that: here
they are raised further. Only the heap of a process's first thread can hold blocks above 64 MiB, so that thread has to
run the step.
"""

from __future__ import annotations

import ctypes

# Options of mallopt(3).
M_TRIM_THRESHOLD, M_MMAP_THRESHOLD, M_ARENA_MAX = -1, -3, -8
LARGEST_VALUE = 2**31 - 1
# Blocks up to this size glibc keeps by itself (DEFAULT_MMAP_THRESHOLD_MAX), and in any thread.
KEPT_ANYWAY = 32 << 20
# Freed memory that `keep_all` keeps in each thread.
KEPT_IN_ALL = 256 << 20
# What the allocator adds to a block for alignment and its own use.
MARGIN = 1 << 20


def run_in_caller() -> None:
    """Has programs on a CPU run in the thread that calls them; without effect once JAX has looked for devices.

    They use all cores in either case.
    """
    import jax

    jax.config.update("jax_cpu_enable_async_dispatch", False)


def keep_blocks(size: int) -> None:
    """Has glibc keep freed blocks of up to a size for the next use, and gives back what is free now.

    Memory that a compiler freed is what is given back. Without effect where glibc keeps blocks of this size anyway,
    above 1 GiB, and with other C libraries.

    Args:
      size: of the largest block to keep, bytes.
    """
    threshold = size + MARGIN
    if size <= KEPT_ANYWAY or 2 * threshold > LARGEST_VALUE:
        return
    glibc = _glibc()
    if glibc is None:
        return
    glibc.malloc_trim(0)
    # The second is twice the first where glibc raises them by itself.
    if glibc.mallopt(M_MMAP_THRESHOLD, threshold):
        glibc.mallopt(M_TRIM_THRESHOLD, 2 * threshold)


def keep_all() -> None:
    """Has glibc keep freed blocks of up to 32 MiB for the next use, up to 256 MiB of them in each thread.

    For commands that make many arrays and free them: by default threads give them back and fetch them anew, a sixth of
    the processor time of drawing photos.
    """
    glibc = _glibc()
    if glibc is not None and glibc.mallopt(M_MMAP_THRESHOLD, KEPT_ANYWAY):
        glibc.mallopt(M_TRIM_THRESHOLD, KEPT_IN_ALL)


def share_heap() -> None:
    """Makes threads that start later share the heap of the process's first thread; for commands that only predict.

    Heaps of other threads hold at most 64 MiB, and go back to the system when nothing is left in them. Here XLA's own
    threads take 43 MiB for one convolution, and programs run in threads of the service, or in one of JAX's where their
    input is still copied: now and then a batch of 32 took 15,000 page faults, 25 of 65 processor milliseconds. With one
    heap it takes up to 2,300, and `predict` of 128 photos and a search of 12 hold at most 453 and 560 MiB in two runs,
    instead of 726 and 789, in the same time. Training is left as it is: with one heap it holds 1,194 instead
    of 928 MiB.
    """
    glibc = _glibc()
    if glibc is not None:
        glibc.mallopt(M_ARENA_MAX, 1)


def _glibc() -> ctypes.CDLL | None:
    """Returns glibc, None where the C library is another."""
    try:
        glibc = ctypes.CDLL("libc.so.6")
        glibc.mallopt, glibc.malloc_trim  # noqa: B018
    except (OSError, AttributeError):
        return None
    return glibc
