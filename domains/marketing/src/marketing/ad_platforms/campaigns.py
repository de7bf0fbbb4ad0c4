"""What the invented platforms know: campaigns, and by day what each delivered and brought. The same on every machine.

Nothing is drawn at random: numbers follow from a hash of campaign and day, so two requests for a page agree, and no request
needs the ones before it. Volume grows with the company (``MESH_DEMO_USERS``), so that costs stay in proportion to its orders.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, timedelta

YEAR = 2025
FULL_SIZE_USERS = 10_000  # the company for which a budget is what it is

_EUROPE = (
    "AT BE BG CH CY CZ DE DK EE ES FI FR GB GR HR HU IE IS IT LI LT LU LV MC MT NL NO PL PT RO SE SI SK SM VA AD AL BA BY FO GG "
    "GI IM JE MD ME MK RS SJ UA XK AX"
)
_AMERICAS = (
    "AG AI AR AW BB BL BM BO BQ BR BS BZ CA CL CO CR CU CW DM DO EC FK GD GF GL GP GT GY HN HT JM KN KY LC MF MQ MS MX NI PA PE "
    "PM PR PY SR SV SX TC TT US UY VC VE VG VI"
)
_ASIA_PACIFIC = (
    "AE AF AM AS AU AZ BD BH BN BT CK CN CX FJ FM GE GU HK ID IL IN IQ IR JO JP KG KH KI KP KR KW KZ LA LB LK MH MM MN MO MP MV "
    "MY NC NF NP NR NU NZ OM PF PG PH PK PN PS PW QA RU SA SB SG SY TH TJ TK TL TM TO TR TV TW UM UZ VN VU WF WS YE"
)
_AFRICA = (
    "AO BF BI BJ BW CD CF CG CI CM CV DJ DZ EG EH ER ET GA GH GM GN GQ GW KE KM LR LS LY MA MG ML MR MU MW MZ NA NE NG RE RW SC SD "
    "SH SL SN SO SS ST SZ TD TF TG TN TZ UG YT ZA ZM ZW IO"
)


@dataclass(frozen=True)
class Campaign:
    """A campaign.

    Attributes:
        id: On its platform.
        name: For people.
        starts, ends: First and last day, both included.
        countries: Where it is shown, ISO 3166-1 alpha-2, separated by blanks.
        daily_usd: What it spends on an average day, for a company of `FULL_SIZE_USERS`.
    """

    id: str
    name: str
    starts: date
    ends: date
    countries: str
    daily_usd: float

    def days(self) -> Iterator[date]:
        """Its days, in order."""
        for number in range((self.ends - self.starts).days + 1):
            yield self.starts + timedelta(days=number)


SEARCHLIGHT = (
    Campaign("SL-0101", "Electric first", date(YEAR, 1, 1), date(YEAR, 4, 30), _EUROPE, 180.0),
    Campaign("SL-0102", "Family cars", date(YEAR, 3, 1), date(YEAR, 8, 31), _AMERICAS, 160.0),
    Campaign("SL-0103", "Year-end clearance", date(YEAR, 10, 1), date(YEAR, 12, 31), f"{_EUROPE} {_AMERICAS}", 240.0),
)
PLAZA = (
    Campaign("plz_7f3a", "Road trips", date(YEAR, 5, 1), date(YEAR, 9, 30), _ASIA_PACIFIC, 150.0),
    Campaign("plz_81cd", "First car", date(YEAR, 1, 15), date(YEAR, 6, 30), _AFRICA, 90.0),
    Campaign("plz_9e02", "Vintage weekend", date(YEAR, 6, 1), date(YEAR, 7, 31), _EUROPE, 120.0),
)


@dataclass(frozen=True)
class Delivery:
    """What a campaign delivered on a day; money in cents of a US dollar."""

    campaign: str
    day: date
    impressions: int
    clicks: int
    spend_cents: int


@dataclass(frozen=True)
class Conversions:
    """The purchases that a platform claims for the clicks of a day, and what they were worth in cents of a US dollar."""

    campaign: str
    day: date
    purchases: int
    value_cents: int


def deliveries(campaigns: tuple[Campaign, ...], users: int) -> list[Delivery]:
    """Everything that the campaigns delivered, by day and campaign."""
    found = [_delivery(campaign, day, users / FULL_SIZE_USERS) for campaign in campaigns for day in campaign.days()]
    return sorted(found, key=lambda delivery: (delivery.day, delivery.campaign))


def conversions(campaigns: tuple[Campaign, ...], users: int) -> list[Conversions]:
    """What followed from the clicks of `deliveries`, one row for each of them, in the same order."""
    return [_conversions(delivery) for delivery in deliveries(campaigns, users)]


def _delivery(campaign: Campaign, day: date, size: float) -> Delivery:
    mood, price, rate = _fractions(campaign.id, day)[:3]
    weekend = 0.7 if day.weekday() >= 5 else 1.1
    spend = round(campaign.daily_usd * size * weekend * (0.7 + 0.6 * mood) * 100)
    clicks = max(1, round(spend / (60 + 80 * price)))  # 0.60 to 1.40 dollars a click
    impressions = max(clicks, round(clicks / (0.01 + 0.03 * rate)))
    return Delivery(campaign.id, day, impressions, clicks, spend)


def _conversions(delivery: Delivery) -> Conversions:
    rate, luck, price = _fractions(delivery.campaign, delivery.day)[3:6]
    purchases = min(delivery.clicks, int(delivery.clicks * (0.002 + 0.005 * rate) + luck))  # one buyer in 140 to 500 clicks
    return Conversions(delivery.campaign, delivery.day, purchases, purchases * round(1_500_000 + 2_000_000 * price))  # a car each


def _fractions(campaign: str, day: date) -> list[float]:
    """Numbers from 0 to 1 that belong to a campaign and day."""
    return [part / 255 for part in hashlib.sha256(f"{campaign} {day}".encode()).digest()]
