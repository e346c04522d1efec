import keras


@keras.saving.register_keras_serializable("mtl_models")
class ShiftedSchedule(keras.optimizers.schedules.LearningRateSchedule):
    """A schedule whose first step is the optimizer's step `start`.

    An optimizer that goes on from an earlier training keeps its count of steps, which Adam corrects its
    moments by; the schedule of the new training begins anew all the same.

    Args:
        schedule: of the new training.
        start: the optimizer's steps before it.

    Example:

    >>> import keras
    >>> from mtl_models.training.shifted_schedule import ShiftedSchedule
    >>> float(ShiftedSchedule(keras.optimizers.schedules.CosineDecay(0.5, 10), start=300)(300))
    0.5
    """

    def __init__(self, schedule: keras.optimizers.schedules.LearningRateSchedule, start: int):
        super().__init__()
        self.schedule = schedule
        self.start = start

    def __call__(self, step):
        return self.schedule(keras.ops.subtract(step, self.start))

    def get_config(self) -> dict:
        return {"schedule": keras.saving.serialize_keras_object(self.schedule), "start": self.start}

    @classmethod
    def from_config(cls, config: dict) -> "ShiftedSchedule":
        return cls(keras.saving.deserialize_keras_object(config["schedule"]), config["start"])
