"""How far people agree, with each other and with the model, beyond chance and with intervals."""

from routing.agreement.estimate import FEWEST_ITEMS, Estimate
from routing.agreement.items import (
    Agreement,
    Coefficient,
    agreement,
    from_patterns,
    gwet_ac1,
    krippendorff_alpha,
    percent_agreement,
)
from routing.agreement.pairs import (
    ModelAgreement,
    PairAgreement,
    cohen_kappa,
    model_against_people,
    pairwise,
)
from routing.agreement.patterns import patterns_of

__all__ = [
    "FEWEST_ITEMS",
    "Agreement",
    "Coefficient",
    "Estimate",
    "ModelAgreement",
    "PairAgreement",
    "agreement",
    "cohen_kappa",
    "from_patterns",
    "gwet_ac1",
    "krippendorff_alpha",
    "model_against_people",
    "pairwise",
    "patterns_of",
    "percent_agreement",
]
