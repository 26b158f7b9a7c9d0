"""What of the stored events, and of which integrations, somebody may see."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Sight:
    """Everything, unless personal data is hidden (`masked`) or only these integrations, by id, may be seen.

    `who` it is tells which saved searches they can name.
    """

    masked: bool = False
    only: frozenset[int] | None = None
    who: str = ""

    def sees(self, integration_id: int) -> bool:
        """Whether this integration, and what it collected, may be seen."""
        return self.only is None or integration_id in self.only


EVERYTHING = Sight()
