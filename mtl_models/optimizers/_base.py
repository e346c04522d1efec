import keras
import tensorflow as tf


class RowOptimizer(keras.optimizers.Optimizer):
    """An optimizer of the embedding table that reads and writes only the rows it is given.

    So a step's time grows with the batch and not with the table. A row without a gradient keeps its value
    and its slots (moments are not decayed). The constructor of a subclass takes only what a recipe sets;
    `learning_rate` may also be a Keras schedule. A subclass says in `initial_slots` which slots a row has,
    and in `update_rows` what a step does.
    """

    @property
    def initial_slots(self) -> dict[str, float]:
        """The slots of a row's entries, by name, and what each starts from."""
        raise NotImplementedError(f"{type(self).__name__} must define initial_slots")

    def build(self, variables) -> None:
        """Makes one variable of all slots [R, slots, dim], in which a row's lie side by side: a row of a
        great table is then one place in memory and not one a slot.

        Raises:
            ValueError: if it is already another table's, which its steps would go on changing.
        """
        if self.built:
            if variables[0] is not self._trainable_variables[0]:
                raise ValueError(
                    f"{type(self).__name__} is already the optimizer of another table; give each model "
                    "its own"
                )
            return
        super().build(variables)
        table, first = variables[0], list(self.initial_slots.values())

        def initial(shape, dtype):
            return tf.broadcast_to(tf.constant(first, dtype)[:, None], shape)

        self.slots = keras.Variable(
            initializer=initial,
            shape=(table.shape[0], len(first), table.shape[1]),
            trainable=False,
            name="slots",
        )
        self._track_variable(self.slots)

    def slot(self, name: str):
        """A slot of every row by its name: [R, dim]."""
        return self.slots[:, list(self.initial_slots).index(name)]

    def apply_rows(self, rows, gradients, wanted=None) -> None:
        """One step.

        Args:
            rows: integers [N], rows of the table that `build` was given. A row may be named more than once,
                each time with the same gradient: it takes one step. None: every row, in the table's order.
            gradients: [N, dim], the summed gradient of each.
            wanted: booleans, [N] or a scalar for all; where it is False nothing changes. None: True.
        """
        variables = [self._trainable_variables[0].value, self.slots.value]
        before = [
            tf.convert_to_tensor(variable) if rows is None else tf.gather(variable, rows)
            for variable in variables
        ]
        values, *slots = self.update_rows(
            before[0],
            *tf.unstack(before[1], axis=1),
            gradients,
            learning_rate=self._get_current_learning_rate(),
        )
        for variable, old, new in zip(variables, before, (values, tf.stack(slots, axis=1))):
            if wanted is not None:
                new = tf.where(tf.reshape(wanted, [-1] + [1] * (len(new.shape) - 1)), new, old)
            if rows is None:
                variable.assign(new)
            else:
                variable.scatter_update(tf.IndexedSlices(new, rows))
        stepped = 1 if wanted is None else tf.cast(tf.reduce_any(wanted), self.iterations.dtype)
        self.iterations.assign_add(stepped)

    def update_rows(self, values, *slots_and_gradients, learning_rate) -> tuple:
        """The rows' new values and slots: each [N, dim], in the order given.

        Args:
            values: [N, dim], the rows' values; then, each of that shape, their slots in the order of
                `initial_slots`, and last their gradients.
            learning_rate: of this step, the `iterations + 1`st.
        """
        raise NotImplementedError(f"{type(self).__name__} must define update_rows")
