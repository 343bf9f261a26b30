"""A chance from a shopper's attributes: trees or a line over encoded columns, and a calibration. Pure; numpy alone."""

from cashwrap.propensity.affinity import Affinity
from cashwrap.propensity.predictor import Predictor
from cashwrap.propensity.uplift import Uplift
from cashwrap.propensity.values import members, number, text

__all__ = ["Affinity", "Predictor", "Uplift", "members", "number", "text"]
