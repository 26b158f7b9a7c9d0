"""The fields one can search: names, kinds, aliases and meaning. The query language and the docs read this list."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum


class Kind(Enum):
    """How a field's values are compared."""

    KEYWORD = "keyword"  # the whole value, case-insensitive, * and ? for parts
    TEXT = "text"  # whole words in any order, * for parts, a phrase for words in order
    IP = "ip"  # an address, a network, or a pattern with *
    NUMBER = "number"
    SEVERITY = "severity"
    TIME = "time"
    FLAG = "flag"  # true or false


@dataclass(frozen=True, slots=True)
class Field:
    """One searchable field; `column` is its name in the artifacts table."""

    name: str
    kind: Kind
    help: str
    column: str = ""
    aliases: tuple[str, ...] = ()

    @property
    def sql(self) -> str:
        """The column that holds it."""
        return self.column or self.name


FIELDS: tuple[Field, ...] = (
    Field("date", Kind.TIME, "When it happened, by the vendor's clock.", "time", ("ts", "time")),
    Field("ingested", Kind.TIME, "When Conductor committed it.", "collected_at", ("collected_at",)),
    Field("event", Kind.TEXT, "The event's friendly name, for example Success Login."),
    Field("connector", Kind.KEYWORD, "The connector that collected it."),
    Field("integration", Kind.KEYWORD, "The integration that collected it, by its name.", "integration_id"),
    Field("tenant", Kind.KEYWORD, "The vendor's tenant."),
    Field("type", Kind.KEYWORD, "The vendor's event type code, for example fp."),
    Field("category", Kind.KEYWORD, "The group of the event type, for example auth failure.", "", ("stream",)),
    Field("severity", Kind.SEVERITY, "informational, low, medium, high or critical."),
    Field("outcome", Kind.KEYWORD, "success, failure, info or unknown."),
    Field("description", Kind.TEXT, "The vendor's own description."),
    Field("user_name", Kind.KEYWORD, "The user's name or e-mail address.", "", ("user",)),
    Field("user_id", Kind.KEYWORD, "The user's id."),
    Field("ip", Kind.IP, "The end user's address.", "", ("src_ip",)),
    Field("client_id", Kind.KEYWORD, "The application's id."),
    Field("client_name", Kind.KEYWORD, "The application's name.", "", ("app",)),
    Field("connection", Kind.KEYWORD, "The connection (user database or identity provider)."),
    Field("connection_id", Kind.KEYWORD, "The connection's id."),
    Field("strategy", Kind.KEYWORD, "The connection's strategy."),
    Field("strategy_type", Kind.KEYWORD, "The kind of strategy: database, social, enterprise or passwordless."),
    Field("hostname", Kind.KEYWORD, "The host name used in the request."),
    Field("user_agent", Kind.TEXT, "The browser or device, as it named itself.", "", ("ua",)),
    Field("log_id", Kind.KEYWORD, "The vendor's id of the record."),
    Field("organization_id", Kind.KEYWORD, "The organization's id."),
    Field("organization_name", Kind.KEYWORD, "The organization's name.", "", ("org",)),
    Field("scope", Kind.TEXT, "Scopes asked for or granted."),
    Field("audience", Kind.KEYWORD, "The API a token is for."),
    Field("country", Kind.KEYWORD, "Country code of the address: by the vendor, or else by a GeoIP database."),
    Field("city", Kind.KEYWORD, "City of the address, in the same way."),
    Field("asn", Kind.NUMBER, "Autonomous system number of the address, in the same way."),
    Field(
        "located_by", Kind.KEYWORD, "The GeoIP databases that gave these three, and which; none for the vendor's word."
    ),
    Field("correlation_id", Kind.KEYWORD, "Id that ties together the records of one transaction."),
    Field("trace_id", Kind.KEYWORD, "Trace id, where the vendor tells."),
    Field("own", Kind.FLAG, "true for the records that Conductor's own requests cause."),
    Field("parsed", Kind.FLAG, "false for a record that could not be normalized."),
)

BY_NAME: dict[str, Field] = {name: field for field in FIELDS for name in (field.name, *field.aliases)}
