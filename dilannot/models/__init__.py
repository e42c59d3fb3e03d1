"""Networks by name: importing this package registers all of them."""

from dilannot.models.dense import dilated as _dilated
from dilannot.models.registry import (
    Network,
    build,
    context_of,
    count_parameters,
    full_arguments,
    names,
    register,
    takes,
    task_of,
)  # fmt: skip
from dilannot.models.window import convolutional as _convolutional
from dilannot.models.window import linear as _linear
from dilannot.models.window import recurrent as _recurrent

__all__ = [
    "Network", "build", "context_of", "count_parameters", "full_arguments", "names", "register", "takes", "task_of",
]  # fmt: skip
del _convolutional, _dilated, _linear, _recurrent
