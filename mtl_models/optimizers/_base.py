import keras


class RowOptimizer(keras.optimizers.Optimizer):
    """An optimizer of the embedding table that reads and writes only the rows it is given.

    So a step's time grows with the batch and not with the table. A row without a gradient keeps its value
    and its slots (moments are not decayed). The constructor of a subclass takes only what a recipe sets;
    `learning_rate` may also be a Keras schedule.
    """

    def apply_rows(self, rows, gradients) -> None:
        """One step.

        Args:
            rows: int64 [U], distinct rows of the table that `build` was given.
            gradients: [U, dim], the summed gradient of each.
        """
        table = self._trainable_variables[0]
        self.update_rows(table, rows, gradients, self._get_current_learning_rate())
        self.iterations.assign_add(1)

    def update_rows(self, table, rows, gradients, learning_rate) -> None:
        raise NotImplementedError(f"{type(self).__name__} must define update_rows")
