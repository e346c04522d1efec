from keras import ops

from mtl_models.weighting._base import Weighting
from mtl_models.weighting._unit_gram import UnitGram, unit_gram


class GramWeighting(Weighting):
    """A weighting that balances the tasks' gradients, from their Gram matrix alone.

    A subclass defines `balance`. Its weights may be negative or very uneven, to make the shared step one that
    suits all; a task's own tower is in nobody's way and learns from its plain gradient (Sener & Koltun 2018,
    algorithm 1). A task whose gradient with respect to what is shared is 0 is not in anyone's
    way: the others are balanced without it, and it weighs 1. Where no Gram matrix
    is given, as in evaluation, tasks weigh 1.

    Raises:
        ValueError: when training without a Gram matrix.
    """

    needs_gram = True
    only_shared = True

    def weigh(self, losses, gram, present, training: bool):
        if gram is None:
            if training:
                raise ValueError(f"{type(self).__name__} needs the Gram matrix of task gradients to train")
            return ops.ones_like(losses)
        unit = unit_gram(gram)
        return ops.where(unit.active, self.balance(unit, losses, training), 1.0)

    def balance(self, unit: UnitGram, losses, training: bool):
        """Weights [T] of the tasks that have a gradient; what it returns for others is not read."""
        raise NotImplementedError(f"{type(self).__name__} must define balance")
