"""One version of a model, loaded and called as TensorFlow Serving does: a session, fed by SignatureDef."""

import threading
from collections.abc import Callable
from pathlib import Path

import numpy as np
import tensorflow as tf
from tensorflow.core.protobuf import config_pb2, meta_graph_pb2, rewriter_config_pb2, saved_model_pb2

from serving.private import private_inputs
from serving.server.errors import RequestError, invalid
from serving.server.tensors import from_proto, type_name

DEFAULT_SIGNATURE = "serving_default"
FEW_VALUES = 1 << 16  # in all inputs: such a call takes milliseconds, in its own thread, and is not cut off
_CODES = {
    tf.errors.INVALID_ARGUMENT: "INVALID_ARGUMENT",
    tf.errors.FAILED_PRECONDITION: "FAILED_PRECONDITION",
    tf.errors.OUT_OF_RANGE: "OUT_OF_RANGE",
    tf.errors.RESOURCE_EXHAUSTED: "RESOURCE_EXHAUSTED",
    tf.errors.UNIMPLEMENTED: "UNIMPLEMENTED",
    tf.errors.DEADLINE_EXCEEDED: "DEADLINE_EXCEEDED",
    tf.errors.CANCELLED: "UNAVAILABLE",
}


class _Input:
    """What an input of a signature may be; looked up once and not in each request."""

    def __init__(self, info: meta_graph_pb2.TensorInfo):
        self._type = tf.dtypes.as_dtype(info.dtype)
        self._kind = np.dtype(self._type.as_numpy_dtype)
        self._shape = tf.TensorShape(info.tensor_shape)
        self._sizes = None if self._shape.rank is None else self._shape.as_list()  # None: any

    def check(self, key: str, value: np.ndarray, rows: int) -> None:
        """INVALID_ARGUMENT where the array is of another type or shape, or has more than so many rows."""
        if value.dtype != self._kind:
            raise invalid(f"Expected input {key} to be {self._type.name} but got {type_name(value.dtype)}.")
        if not self._has(value.shape):
            raise invalid(f"Expected input {key} to have shape {self._shape} but got {tuple(value.shape)}.")
        if value.ndim and value.shape[0] > rows:
            raise invalid(f"Input {key} has {value.shape[0]} rows; this server takes {rows} in a request.")

    def _has(self, shape: tuple[int, ...]) -> bool:
        sizes = self._sizes
        return sizes is None or (
            len(shape) == len(sizes) and all(one in (None, size) for one, size in zip(sizes, shape))
        )


class Servable:
    """A loaded SavedModel. It closes when retired and the last request that holds it has ended."""

    def __init__(self, folder: Path, version: int):
        """Loads `folder`; where it is not whole, TensorFlow, protobuf and files raise what they do."""
        self.version = version
        self.private = frozenset(private_inputs(folder))
        saved = saved_model_pb2.SavedModel.FromString((folder / "saved_model.pb").read_bytes())
        graphs = [g for g in saved.meta_graphs if set(g.meta_info_def.tags) == {"serve"}]
        if not graphs:
            raise ValueError(f"{folder} has no graph with the tag 'serve'")
        self.signatures: dict[str, meta_graph_pb2.SignatureDef] = dict(graphs[0].signature_def)
        self._inputs = {
            name: {key: _Input(info) for key, info in signature.inputs.items()}
            for name, signature in self.signatures.items()
        }
        self._defaults = {
            name: {key: from_proto(key, value, limit=1 << 20) for key, value in signature.defaults.items()}
            for name, signature in self.signatures.items()
        }
        graph = tf.Graph()
        with graph.as_default():
            self._session = tf.compat.v1.Session(graph=graph, config=_session_config())
            tf.compat.v1.saved_model.loader.load(self._session, ["serve"], str(folder))
        graph.finalize()
        self._calls: dict[tuple[str, bool], Callable[..., list[np.ndarray]]] = {}
        self._making = threading.Lock()
        self._held, self._retired, self._lock = 0, False, threading.Lock()

    def signature(self, name: str) -> meta_graph_pb2.SignatureDef:
        """The signature; FAILED_PRECONDITION where there is none of that name."""
        name = name or DEFAULT_SIGNATURE
        if name not in self.signatures:
            raise RequestError("FAILED_PRECONDITION", f'Serving signature key "{name}" not found.')
        return self.signatures[name]

    def call(
        self, name: str, inputs: dict[str, np.ndarray], only: list[str], rows: int, seconds: float
    ) -> dict[str, np.ndarray]:
        """Runs a signature.

        Args:
          name: of the signature; serving_default where empty.
          inputs: by the names of the SignatureDef; those left out take its defaults.
          only: the outputs to give; all where empty. All are computed: each other choice would be compiled.
          rows: largest first dimension that is taken.
          seconds: until DEADLINE_EXCEEDED, where the inputs have more than FEW_VALUES.
        """
        signature = self.signature(name)
        inputs = self._complete(name or DEFAULT_SIGNATURE, signature, inputs)
        wanted = self._inputs[name or DEFAULT_SIGNATURE]
        for key, value in inputs.items():
            wanted[key].check(key, value, rows)
        names = _outputs(signature, only)
        few = sum(x.size for x in inputs.values()) <= FEW_VALUES
        call = self._callable(name or DEFAULT_SIGNATURE, few)
        arguments = [inputs[key] for key in sorted(inputs)]
        try:
            if few:
                found = call(*arguments)
            else:
                options = tf.compat.v1.RunOptions(timeout_in_ms=max(1, int(seconds * 1000)))
                found = call(*arguments, options=options)
        except tf.errors.OpError as error:
            raise RequestError(_CODES.get(error.error_code, "INTERNAL"), error.message) from None
        outputs = dict(zip(sorted(signature.outputs), map(np.asarray, found)))
        return {n: outputs[n] for n in names}

    def _callable(self, name: str, few: bool) -> Callable[..., list[np.ndarray]]:
        """Takes the inputs in their order by name, gives all outputs so; `options` too where not `few`."""
        if call := self._calls.get((name, few)):
            return call
        with self._making:  # it takes a second: those who want the same wait, and make none of their own
            if (name, few) not in self._calls:
                self._calls[name, few] = self._make_callable(name, few)
            return self._calls[name, few]

    def _make_callable(self, name: str, few: bool) -> Callable[..., list[np.ndarray]]:
        signature = self.signatures[name]
        fetch = [signature.outputs[n].name for n in sorted(signature.outputs)]
        feed = [signature.inputs[n].name for n in sorted(signature.inputs)]
        if not few:
            return self._session.make_callable(fetch, feed, accept_options=True)
        # C++'s Session::MakeCallable, which Keras 2 used too: make_callable with feeds is Session.run, whose
        # Python takes a third of a call of 32 rows
        inline = config_pb2.RunOptions(inter_op_thread_pool=-1)
        options = config_pb2.CallableOptions(feed=feed, fetch=fetch, run_options=inline)
        return self._session._make_callable_from_options(options)

    def _complete(
        self, name: str, signature: meta_graph_pb2.SignatureDef, inputs: dict[str, np.ndarray]
    ) -> dict[str, np.ndarray]:
        defaults = self._defaults[name]
        extra = sorted(set(inputs) - set(signature.inputs))
        missing = sorted(set(signature.inputs) - set(inputs) - set(defaults))
        if extra or missing:
            raise invalid(
                f"input size does not match signature: {len(inputs)}!={len(signature.inputs)} "
                f"len({{{','.join(sorted(inputs))}}}) != len({{{','.join(sorted(signature.inputs))}}}). "
                f"Sent extra: {{{','.join(extra)}}}. Missing but required: {{{','.join(missing)}}}."
            )
        return {**{key: value for key, value in defaults.items()}, **inputs}

    def hold(self) -> None:
        """Keeps the version open for one request."""
        with self._lock:
            self._held += 1

    def let_go(self) -> None:
        """The request has ended."""
        with self._lock:
            self._held -= 1
            last = self._retired and self._held == 0
        if last:
            self._session.close()

    def retire(self) -> None:
        """No request will be given this version any more."""
        with self._lock:
            self._retired = True
            last = self._held == 0
        if last:
            self._session.close()


def _session_config() -> config_pb2.ConfigProto:
    # a call is on one core, and several calls are on all: shared out, small operations cost more in changes
    # of thread than they take
    config = config_pb2.ConfigProto(intra_op_parallelism_threads=1)
    # a version answers once every signature's graph was optimized. Of 3.3 s of processor time that the demo's
    # model took to load and answer its warm-up, these took a third, and no call became faster by them
    rewriting = rewriter_config_pb2.RewriterConfig
    graph = config.graph_options.rewrite_options
    graph.meta_optimizer_iterations = rewriting.ONE
    graph.memory_optimization = rewriting.NO_MEM_OPT
    graph.layout_optimizer = graph.loop_optimization = rewriting.OFF
    graph.disable_tfg_optimizer = True
    return config


def _outputs(signature: meta_graph_pb2.SignatureDef, only: list[str]) -> list[str]:
    for name in only:
        if name not in signature.outputs:
            raise invalid(
                f"output tensor alias not found in signature: {name} Outputs expected to be in the set "
                f"{{{','.join(sorted(signature.outputs))}}}."
            )
        if only.count(name) > 1:
            raise invalid(f"duplicate output tensor alias: {name}")
    return list(only) or sorted(signature.outputs)
