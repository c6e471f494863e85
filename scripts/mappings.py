"""Writes the lists in docs/mappings.md from the mapping files: products, channel groups, scene values, code breaks."""

from __future__ import annotations

import re
import sys
import tomllib
from importlib.resources import files
from pathlib import Path
from typing import Any

from rechannel.source.channelrules import code_breaks, table_rows
from rechannel.source.export import Export
from rechannel.source.headers import Product
from rechannel.source.products import shipped_products

PAGE = Path(__file__).resolve().parent.parent / "docs" / "mappings.md"


def products(shipped: tuple[Product, ...]) -> str:
    """One table per product, and where its column names come from."""
    parts = []
    for product in shipped:
        parts += [f"### {product.names['en']}", "", f"`{product.name}`, version {product.version}", ""]
        parts += ["| export | what | gives | visits are | not seen in a public copy |", "|---|---|---|---|---|"]
        parts += [_export(export) for export in product.exports]
        parts += ["", "Column names from:", ""]
        parts += [f"- `{export.export_id}`: {export.source}" for export in product.exports]
        parts.append("")
    return "\n".join(parts).rstrip()


def _export(export: Export) -> str:
    metrics = ", ".join(sorted(_metrics(export)))
    where = "" if export.by_channel else " (whole shop)"
    unsure = ", ".join(f"`{name}`" for name in export.unverified) or "-"
    counts = (export.counts or "-") if "visits" in export.gives else "-"
    return f"| `{export.export_id}` | {export.names['en']} | {metrics}{where} | {counts} | {unsure} |"


def _metrics(export: Export) -> set[str]:
    known = {"visits", "new_customers", "orders", "gmv", "refunds", "cost", "volume"}
    return known & export.gives | ({"touches"} if export.grain == "events" else set())


def channel_groups() -> str:
    """The groups in their order, each with the conditions of which one must hold."""
    text = files("rechannel.source").joinpath("mappings", "ga4_channels.toml").read_text(encoding="utf-8")
    rules = tomllib.loads(text)
    rows = ["| | channel group | 中文 | when |", "|---|---|---|---|"]
    for place, group in enumerate(rules["group"], start=1):
        when = "; or ".join(_condition(one, rules["patterns"]) for one in group["any"])
        rows.append(f"| {place} | {group['name']} | {group['zh']} | {when} |")
    rows.append(f"| {len(rules['group']) + 1} | {rules['fallback']['name']} | {rules['fallback']['zh']} | otherwise |")
    return "\n".join(rows)


def _condition(condition: dict[str, Any], patterns: dict[str, str]) -> str:
    parts = []
    for key, value in condition.items():
        if key == "list":
            parts.append(f"source is a {value} site" if value != "ai" else "source is an AI assistant")
        elif key.endswith("_pattern"):
            shown = patterns[str(value)].replace("|", "\\|")
            parts.append(f"{key.removesuffix('_pattern')} matches `{shown}`")
        elif key.endswith("_contains"):
            parts.append(f"{key.removesuffix('_contains')} contains `{value}`")
        else:
            words = ", ".join(f"`{word}`" if word else "blank" for word in value)
            parts.append(f"{key} is {words}")
    return " and ".join(parts)


def scene_values() -> str:
    """The kinds of channels and the scene values of each; retired values are marked."""
    rows = ["| kind | 中文 | English | scene values |", "|---|---|---|---|"]
    names = {row["kind"]: row for row in table_rows("wechat_kinds.csv")}
    by_kind: dict[str, list[str]] = {}
    for row in table_rows("wechat_scenes.csv"):
        kind = "left out" if row["control"] == "exclude" else row["kind"]
        by_kind.setdefault(kind, []).append(row["code"] + ("†" if row["retired"] == "y" else ""))
    for kind, codes in sorted(by_kind.items()):
        name = names.get(kind, {"zh": "测试与爬虫", "en": "tests and crawlers"})
        rows.append(f"| `{kind}` | {name['zh']} | {name['en']} | {' '.join(codes)} |")
    return "\n".join(rows)


def breaks() -> str:
    """What looks like a closure and is none."""
    rows = ["| list | change | from | to | since | seen | what happens | source |", "|---|---|---|---|---|---|---|---|"]
    for row in code_breaks():
        seen = "yes" if row["verified"] == "y" else "no"
        since = " to ".join(filter(None, (row["since"], row["until"]))) or "-"
        cells = (row["system"], row["change"], row["old"], row["new"] or "-", since, seen, row["en"], row["source"])
        rows.append("| " + " | ".join(cells) + " |")
    return "\n".join(rows)


def page_with_lists(page: str) -> str:
    """The page with its lists as the mapping files state them now."""
    lists = {
        "products": products(shipped_products()),
        "channel groups": channel_groups(),
        "scene values": scene_values(),
        "code breaks": breaks(),
    }
    for name, text in lists.items():
        start, end = f"<!-- {name}: make mappings -->", f"<!-- end of {name} -->"
        pattern = re.compile(re.escape(start) + ".*?" + re.escape(end), re.DOTALL)
        if len(pattern.findall(page)) != 1:
            raise SystemExit(f"docs/mappings.md has no place for the list of {name}")
        page = pattern.sub(lambda _, body=f"{start}\n\n{text}\n\n{end}": body, page)
    return page


def main() -> int:
    """Write the page, or with --check say whether it would change."""
    page = PAGE.read_text(encoding="utf-8")
    wanted = page_with_lists(page)
    if wanted == page:
        return 0
    if "--check" in sys.argv:
        print("docs/mappings.md is behind the mapping files; run make mappings", file=sys.stderr)
        return 1
    PAGE.write_text(wanted, encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
