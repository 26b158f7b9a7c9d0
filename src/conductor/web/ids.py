"""Numbers in addresses. One that no row can have is refused before the database sees it."""

from __future__ import annotations

from typing import Annotated

from fastapi import Path, Query

Id = Annotated[int, Path(ge=0, lt=2**63)]
Before = Annotated[int | None, Query(ge=0, lt=2**63)]
Nth = Annotated[int, Query(ge=1, lt=2**31)]  # a page of a list
