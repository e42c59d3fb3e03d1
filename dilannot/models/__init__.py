"""Networks by name: importing this package registers all of them."""

from dilannot.models.dense import convolutional as _dense_convolutional
from dilannot.models.dense import hybrid as _hybrid
from dilannot.models.dense import id_cnn as _id_cnn
from dilannot.models.dense import recurrent as _dense_recurrent
from dilannot.models.own_file import resolve
from dilannot.models.receptive_field import context_of
from dilannot.models.registry import (
    build,
    build_without_memory,
    count_parameters,
    entry,
    full_arguments,
    names,
    parameters_of,
    register,
)
from dilannot.models.window import convolutional as _convolutional
from dilannot.models.window import linear as _linear
from dilannot.models.window import motif as _motif
from dilannot.models.window import recurrent as _recurrent

__all__ = [
    "build", "build_without_memory", "context_of", "count_parameters", "entry", "full_arguments", "names",
    "parameters_of", "register", "resolve",
]  # fmt: skip
del _convolutional, _dense_convolutional, _dense_recurrent, _hybrid, _id_cnn, _linear, _motif, _recurrent
