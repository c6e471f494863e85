"""Shopify: the orders export with several lines per order, and the report Sessions by referrer."""

from __future__ import annotations

from pathlib import Path

from exports.people import CHINA, sessions, split
from exports.shop import CHANNELS, Known, MadeShop
from exports.writing import Cell, csv_text, header, put

NAMES = {
    "search": "Google",
    "feed": "Facebook",
    "own": "Direct",
    "live": "YouTube",
    "affiliate": "awin",
    "ads_search": "Bing",
    "ads_feed": "Instagram",
}
_SOURCES = {"search": "search", "feed": "social", "own": "direct", "live": "social", "affiliate": "unknown"}
ORDERS_HEADER = header("shopify.orders")
SESSIONS_HEADER = header("shopify.sessions")


def orders(folder: Path, shop: MadeShop) -> list[Path]:
    """orders_export_1.csv: newest first; the first line of an order carries the money of the whole order."""
    refunds: dict[int, list[float]] = {}
    for day, total in enumerate(shop.total("refunds")):
        refunds[day] = split(total, max(1, int(shop.total("orders")[day]) // 4))
    blocks: list[list[list[Cell]]] = []
    for session in sessions(shop):
        if session.value:
            local = session.start + CHINA
            day = (local.date() - shop.days[0]).days
            back = refunds[day].pop() if refunds[day] else 0.0
            blocks.append(
                _order(session.number, session.person, f"{local:%Y-%m-%d %H:%M:%S} +0800", session.value, back)
            )
    rows = [row for block in reversed(blocks) for row in block]
    return [put(folder / "orders_export_1.csv", csv_text([ORDERS_HEADER, *rows], end="\n"))]


def _order(number: int, person: str, at: str, value: float, back: float) -> list[list[Cell]]:
    """One line per item; a refund stands beside `Total` and does not lower it."""
    name, email = f"#{1000 + number}", f"{person}@example.com"
    state = "partially_refunded" if back else "paid"
    first = {
        "Name": name,
        "Email": email,
        "Financial Status": state,
        "Paid at": at,
        "Currency": "CNY",
        "Created at": at,
    }
    money = {"Subtotal": round(value * 0.9, 2), "Shipping": round(value - round(value * 0.9, 2), 2), "Taxes": 0}
    rest: dict[str, Cell] = {"Total": value, "Refunded Amount": back, "Id": 5_550_000_000 + number, "Source": "web"}
    lines: list[dict[str, Cell]] = [{**first, **money, **rest}]
    if number % 3 == 0:
        lines.append({"Name": name, "Email": email, "Created at": at})
    for turn, line in enumerate(lines):
        line |= {
            "Lineitem quantity": 1,
            "Lineitem name": f"Item {turn + 1}",
            "Lineitem price": 20,
            "Vendor": "Rechannel",
        }
    return [[line.get(column) for column in ORDERS_HEADER] for line in lines]


def sessions_by_referrer(folder: Path, shop: MadeShop) -> list[Path]:
    """Sessions by referrer.csv with Day as a dimension; the columns of funnel steps are sessions too."""
    rows: list[list[Cell]] = [SESSIONS_HEADER]
    for day, moment in enumerate(shop.days):
        for channel in CHANNELS:
            count, bought = shop.at("visits", channel, day), shop.at("orders", channel, day)
            steps: list[Cell] = [count, round(count * 0.85), round(count * 0.12), bought]
            rows.append([moment.isoformat(), _SOURCES.get(channel, "search"), NAMES[channel], *steps])
    span = f"{shop.days[0]} - {shop.days[-1]}"
    return [put(folder / f"Sessions by referrer - {span}.csv", csv_text(rows, end="\n"))]


def write(folder: Path, shop: MadeShop) -> list[Path]:
    """Orders and sessions."""
    return [*orders(folder, shop), *sessions_by_referrer(folder, shop)]


def known(shop: MadeShop) -> Known:
    """Sessions by referrer; orders, money and refunds of the whole shop, since an order does not name its referrer."""
    return Known(
        "sessions",
        {"visits": {NAMES[channel]: shop.of("visits", channel) for channel in CHANNELS}},
        {"orders": shop.total("orders"), "gmv": shop.total("gmv"), "refunds": shop.total("refunds")},
        {
            "Subtotal": "gmv",
            "Lineitem price": "gmv",
            "Online store visitors": "visits",
            "Sessions that completed checkout": "orders",
            "Email": "new_customers",
        },
    )
