"""What can be chosen. None of it changes a picture, so none of it stands in infotext."""

from __future__ import annotations

from gesso import Params, param


class GridParams(Params):
    """One more picture that shows all pictures of the job side by side."""

    enabled: bool = param(False, label="Make a grid", changes_picture=False)
    rows: int = param(
        0, ge=0, le=100, step=1, label="Rows", description="0: as near to a square as it goes.", changes_picture=False
    )
    no_gaps: bool = param(
        False, label="No empty places", description="Fewer rows, so that every place is taken.", changes_picture=False
    )
