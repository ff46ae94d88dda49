"""How many threads numerical libraries use."""

from __future__ import annotations

from functools import partial

from threadpoolctl import threadpool_limits

# The products of one gene are small: threads that wait for each other cost more than they give,
# tenfold and more where other work shares the cores.
one_thread = partial(threadpool_limits, limits=1)
