import keras
import tensorflow as tf


class RowOptimizer(keras.optimizers.Optimizer):
    """An optimizer of the embedding table that reads and writes only the rows it is given.

    So a step's time grows with the batch and not with the table. A row without a gradient keeps its value
    and its slots (moments are not decayed). The constructor of a subclass takes only what a recipe sets;
    `learning_rate` may also be a Keras schedule. A subclass makes its slots in `build`, names them in
    `self.slots`, and says in `update_rows` what a step does.
    """

    slots: tuple | list = ()

    def apply_rows(self, rows, gradients, wanted=None) -> None:
        """One step.

        Args:
            rows: integers [N], rows of the table that `build` was given. A row may be named more than once,
                each time with the same gradient: it takes one step.
            gradients: [N, dim], the summed gradient of each.
            wanted: boolean scalar; where it is False nothing changes. None: True.
        """
        variables = [self._trainable_variables[0], *self.slots]
        before = [tf.gather(variable.value, rows) for variable in variables]
        after = self.update_rows(*before, gradients, learning_rate=self._get_current_learning_rate())
        for variable, old, new in zip(variables, before, after, strict=True):
            if wanted is not None:
                new = tf.where(wanted, new, old)
            variable.value.scatter_update(tf.IndexedSlices(new, rows))
        steps = 1 if wanted is None else tf.cast(wanted, self.iterations.dtype)
        self.iterations.assign_add(steps)

    def update_rows(self, values, *slots_and_gradients, learning_rate) -> tuple:
        """The rows' new values and slots: each [N, dim], in the order given.

        Args:
            values: [N, dim], the rows' values; then, each of that shape, their slots in the order of
                `self.slots`, and last their gradients.
            learning_rate: of this step, the `iterations + 1`st.
        """
        raise NotImplementedError(f"{type(self).__name__} must define update_rows")
