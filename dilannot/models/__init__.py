"""Networks by name: importing this package registers all of them."""

from dilannot.models.dense import dilated as _dilated
from dilannot.models.registry import Network, build, context_of, count_parameters, full_arguments, register, task_of

__all__ = ["Network", "build", "context_of", "count_parameters", "full_arguments", "register", "task_of"]
del _dilated
