"""What is believed before any data of the case: every range of the world model, with its source."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from rechannel.vocabulary.channel import Metric


@dataclass(frozen=True, slots=True)
class Normal:
    """A normal prior: centre and standard deviation, on the scale its field names."""

    centre: float
    sd: float

    def scaled(self, factor: float) -> Normal:
        """The same centre with another width."""
        return Normal(self.centre, self.sd * factor)


@dataclass(frozen=True, slots=True)
class Priors:
    """Ranges of the world model.

    Attributes
    ----------
    retained, retained_shared
        Logit of the share of removed visits that own channels win back; how much of its variance all channels of a
        shop share. Published closures run from nothing lost (brand search) to almost everything lost (news blocked on a
        platform): 90 % of the prior lies between 8 % and 84 %. Sources: Blake, Nosko and Tadelis (2015), Econometrica
        83(1); Athey, Mobius and Pal (2021), NBER 28746 (Google News Spain); Chicago station closures of 2006-12, where
        .28 to .66 of entries reappeared nearby.
    rivals, rivals_shared
        Logit of the rivals' part of what own channels do not win back; share of its variance that is common.
    composition
        Sd of log weights of own channels around their shares of visits: the channel that gains most from a closure gets
        a median of 2.1 times its proportional part (Chicago), so the weights are wide.
    recomposition
        Sd of how log weights in a lasting closure differ from those in an outage: users learn some ways better than
        others, and a few days show none of it. An assumption.
    same_host
        Log weight of channels on the surface of the same host, relative to others.
    overlap
        Factor of log lifts of shared customers in log weights, for channels without a stated host or kind: 1 when
        diverted visits spread as their customers do, 0 when overlap tells nothing that sizes do not; half way, with
        room for both. Beside stated hosts lifts are left out: channels of one surface share their customers anyway,
        and scores on made markets got worse (docs/benchmarks.md, journeys in a forecast).
    solo, new
        Change of the logit of the retained share when all of a channel's sessions, rather than none, are of customers
        who use no other channel, or are their first: they find back less readily, so the odds are taken as e^-1 of the
        others' (90 %: e^-1.8 to e^-0.2). With search ads off, users new to the shop or rarely there were lost and
        regular ones came another way (Blake, Nosko and Tadelis 2015, Econometrica 83(1)).
    rival_composition
        The same as `composition` among rivals, around their sizes.
    surplus, spill
        Sd of what all own channels together, and each of them, gain or lose beside diversion: attention set free,
        habits and assists lost. With the first, more than everything or less than nothing may come back.
    deferral_outage, deferral_lasting
        Logit of the share of removed visits that is only put off, in an outage and in a lasting change.
    deferral_shared
        Part of the variance of the first that all outages of a case have in common: the same users wait alike.
    released
        Logit of the part of it that comes back within the seven days after reopening.
    bias
        Sd, on the logit of the retained share, of how an outage differs from a closure: users who are not told give up
        more, or learn less.
    bias_shared
        Parts of its variance that all outages of a case, all of a channel, and one alone have: what sets an outage
        apart from a closure is a matter of the users and the channel, so more outages do not average it away.
    learning, learning_days
        How far, on the same scale, the retained share moves after the first days of a closure - users learn other ways,
        and lose the habit of coming at all; log days it takes.
    carried
        Logit of how far conversion belongs to the visitor and goes along (1) or to the place (0).
    keener
        Centre of the log of what diverted visits convert beyond that, by metric: who takes another way on purpose buys
        more readily than who came by.
    selection
        Its sd, shared by all metrics and of one metric.
    prominence
        Sd of log kappa: removed share = severity ** kappa.
    postponed_customers, postponed_days
        Logit of the part of new customers not won elsewhere that is only postponed - they stay within reach and come
        later by another channel; log days until they do.
    relative_yield
        Sd of the log of a channel's yield per visit relative to the shop's, where only totals are known.
    """

    retained: Normal = Normal(-0.4, 1.15)
    retained_shared: float = 0.55
    rivals: Normal = Normal(-1.55, 1.25)
    rivals_shared: float = 0.5
    composition: float = 0.9
    recomposition: float = 0.3
    same_host: Normal = Normal(0.4, 0.6)
    overlap: Normal = Normal(0.5, 0.5)
    solo: Normal = Normal(-1.0, 0.5)
    new: Normal = Normal(-1.0, 0.5)
    rival_composition: float = 0.5
    surplus: float = 0.08
    spill: float = 0.01
    deferral_outage: Normal = Normal(-1.5, 0.8)
    deferral_lasting: Normal = Normal(-3.0, 0.8)
    deferral_shared: float = 0.75
    released: Normal = Normal(0.6, 0.8)
    bias: float = 0.6
    bias_shared: tuple[float, float, float] = (0.5, 0.4, 0.1)
    learning: Normal = Normal(0.15, 0.4)
    learning_days: Normal = Normal(3.2, 0.6)
    carried: Normal = Normal(0.0, 1.2)
    keener: Mapping[Metric, float] = field(default_factory=lambda: {"orders": 0.15, "gmv": 0.15, "new_customers": 0.1})
    selection: tuple[float, float] = (0.2, 0.15)
    prominence: float = 0.4
    postponed_customers: Normal = Normal(-1.1, 0.8)
    postponed_days: Normal = Normal(4.1, 0.6)
    relative_yield: float = 0.5

    def with_width(self, factor: float) -> Priors:
        """The same priors with another width of the retained share: how much the answer leans on it."""
        return replace(self, retained=self.retained.scaled(factor))
