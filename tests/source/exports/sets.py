"""The set of files that a user of each product has, and what a right assembly knows of it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from exports import ads, alimama, douyin, ga4, jd, matomo, pdd, sensors, shopify, snowplow, sycm, wechat, wecom
from exports.shop import Known, MadeShop, made_shop

SHOP = made_shop()
SMALL = made_shop(days=40, scale=0.02)
"""For exports that list events."""
SETS: dict[str, tuple[Callable[[Path, MadeShop], list[Path]], Callable[[MadeShop], Known], MadeShop]] = {
    "sycm": (sycm.write, sycm.known, SHOP),
    "taobaoke": (alimama.commissions, alimama.commissions_known, SHOP),
    "ga4": (ga4.write, ga4.known, SHOP),
    "ga4_flat": (ga4.bigquery_flat, ga4.bigquery_known, SMALL),
    "ga4_nested": (ga4.bigquery_nested, ga4.bigquery_known, SMALL),
    "ga4_lines": (ga4.bigquery_lines, ga4.bigquery_known, SMALL),
    "wechat": (wechat.write, wechat.known, SHOP),
    "wechat_console": (wechat.write_console, wechat.known, SHOP),
    "jd": (jd.write, jd.known, SHOP),
    "pdd": (pdd.write, pdd.known, SHOP),
    "douyin": (douyin.write, douyin.known, SHOP),
    "wecom": (wecom.write, wecom.known, SHOP),
    "sensors": (sensors.write, sensors.known, SHOP),
    "sensors_events": (sensors.events, sensors.events_known, SMALL),
    "matomo": (matomo.write, matomo.known, SHOP),
    "matomo_visits": (matomo.visits_log, matomo.known, SMALL),
    "snowplow": (snowplow.write, snowplow.known, SMALL),
    "snowplow_events": (snowplow.events, snowplow.events_known, SMALL),
    "shopify": (shopify.write, shopify.known, SMALL),
    "ads": (ads.write, ads.known, SHOP),
}
