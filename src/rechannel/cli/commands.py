"""The verbs, one row each: a verb is added by its module with `command`, its row here, and its words in `cli.toml`."""

from __future__ import annotations

from collections.abc import Mapping

COMMANDS: Mapping[str, str] = {
    "new": "rechannel.cli.new",
    "add": "rechannel.cli.add",
    "check": "rechannel.cli.check",
    "watch": "rechannel.cli.watch",
    "run": "rechannel.cli.run",
    "ask": "rechannel.cli.ask",
    "journeys": "rechannel.cli.journeys",
    "design": "rechannel.cli.design",
    "demo": "rechannel.cli.demo",
    "lab": "rechannel.cli.lab",
    "compare": "rechannel.cli.compare",
    "explain": "rechannel.cli.explain",
}
"""Verb -> module, in the order in which `rechannel --help` lists them.

The module holds `command`, a `rechannel.cli.verb.Verb`, and is imported only when the verb is called.
`cli.toml` holds `verb_<verb>` (one line), `about_<verb>` (what it answers) and `example_<verb>` (one call per line).
"""
