class WorkerLost(RuntimeError):
    """Another worker of a training ended, so that this one cannot go on."""
