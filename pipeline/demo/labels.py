"""What followed an impression, drawn from its propensities."""

import math
from dataclasses import dataclass

import numpy as np

from pipeline.demo.impressions import Block
from pipeline.demo.truth import Propensities

# Dwell times are Weibull (Liu, White and Dumais, "Understanding web browsing behaviors through Weibull
# analysis of dwell time", SIGIR 2010); a shape above 1: the longer one watches, the likelier one stops.
WATCH_SHAPE = 1.6


@dataclass(frozen=True)
class Labels:
    """Outcomes of a block, one entry an impression; purchase and watch count only where clicked."""

    click: np.ndarray  # bool
    like: np.ndarray  # bool
    purchase: np.ndarray  # bool
    watch_seconds: np.ndarray  # float


def draw_labels(shown: Block, chance: Propensities) -> Labels:
    """Labels of a block from its own luck, one uniform a label."""
    click, like, purchase, watch = shown.luck.T
    # Weibull by its inverse distribution function, scaled to the expected watch time.
    dwell = (-np.log1p(-watch)) ** (1 / WATCH_SHAPE) / math.gamma(1 + 1 / WATCH_SHAPE)
    return Labels(
        click=click < chance.click,
        like=like < chance.like,
        purchase=purchase < chance.purchase,
        watch_seconds=chance.watch_seconds * dwell,
    )


def median_watch(expected: np.ndarray) -> np.ndarray:
    """Median watch time, seconds, of impressions whose expected watch time is given."""
    return expected * math.log(2) ** (1 / WATCH_SHAPE) / math.gamma(1 + 1 / WATCH_SHAPE)
