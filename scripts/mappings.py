"""Writes the list of products in docs/mappings.md from the mapping files."""

from __future__ import annotations

import sys
from pathlib import Path

from rechannel.source.export import Export
from rechannel.source.headers import Product
from rechannel.source.products import shipped_products

PAGE = Path(__file__).resolve().parent.parent / "docs" / "mappings.md"
START, END = "<!-- list of products: make mappings -->", "<!-- end of the list -->"


def listed(products: tuple[Product, ...]) -> str:
    """One table per product, in Markdown."""
    parts = []
    for product in products:
        parts += [f"### {product.names['en']}", "", f"`{product.name}`, version {product.version}", ""]
        parts += ["| export | what | gives | visits are | not seen in a public copy |", "|---|---|---|---|---|"]
        parts += [_row(export) for export in product.exports]
        parts.append("")
    return "\n".join(parts)


def _row(export: Export) -> str:
    metrics = ", ".join(sorted(_metrics(export)))
    where = "" if export.by_channel else " (whole shop)"
    unsure = ", ".join(f"`{name}`" for name in export.unverified) or "-"
    counts = (export.counts or "-") if "visits" in export.gives else "-"
    return f"| `{export.export_id}` | {export.names['en']} | {metrics}{where} | {counts} | {unsure} |"


def _metrics(export: Export) -> set[str]:
    known = {"visits", "new_customers", "orders", "gmv", "refunds", "cost", "volume"}
    return known & export.gives | ({"touches"} if export.grain == "events" else set())


def page_with_list(page: str) -> str:
    """The page with the list as the mapping files state it now."""
    before, after = page.split(START)[0], page.split(END)[1]
    return f"{before}{START}\n\n{listed(shipped_products())}\n{END}{after}"


def main() -> int:
    """Write the page, or with --check say whether it would change."""
    page = PAGE.read_text(encoding="utf-8")
    wanted = page_with_list(page)
    if wanted == page:
        return 0
    if "--check" in sys.argv:
        print("docs/mappings.md is behind the mapping files; run make mappings", file=sys.stderr)
        return 1
    PAGE.write_text(wanted, encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
