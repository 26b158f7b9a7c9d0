"""What happened in one plain sentence, from a template and an event's fields.

`{field}` is a field's value, `{who}` the user, `{origin}` where from. What stands in brackets is left out when a field
in it is missing: `{who} signed in[ to {client_name}][ from {origin}].`
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from conductor.core.wording import LONGEST_FACT

_OPTIONAL = re.compile(r"\[([^\]]*)\]")
_FACT = re.compile(r"\{(\w+)\}")


def sentence(template: str, row: Mapping[str, Any]) -> str:
    """The template filled from an event's row; empty when it needs a field that the event lacks."""
    facts = _facts(row)
    wanted = _OPTIONAL.sub(lambda part: part[1] if _all_known(part[1], facts) else "", template)
    return _FACT.sub(lambda fact: facts[fact[1]], wanted) if _all_known(wanted, facts) else ""


def _all_known(text: str, facts: Mapping[str, str]) -> bool:
    return all(facts.get(name) for name in _FACT.findall(text))


def _facts(row: Mapping[str, Any]) -> dict[str, str]:
    known = {name: value for name, value in row.items() if isinstance(value, str | int) and value not in ("", 0)}
    facts = {name: str(value)[:LONGEST_FACT] for name, value in known.items()}
    where = [facts[name] for name in ("city", "country") if name in facts]
    where += [f"AS{facts['asn']}"] if "asn" in facts else []
    facts["description"] = facts.get("description", "").rstrip(". ")
    facts["who"] = facts.get("user_name") or facts.get("user_id", "")
    facts["origin"] = facts.get("ip", "") + (f" ({', '.join(where)})" if where and "ip" in facts else "")
    return facts
