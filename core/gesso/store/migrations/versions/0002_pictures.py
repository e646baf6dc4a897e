"""The history: what pictures are searched by, and the trash. Pictures that are there already are entered.

Revision ID: 0002
Revises: 0001
"""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

AT_ONCE = 500


def upgrade() -> None:
    op.create_table('pictures',
        sa.Column('artifact', sa.BigInteger().with_variant(sa.Integer(), 'sqlite'), autoincrement=False, nullable=False),
        sa.Column('prompt', sa.Text(), nullable=False),
        sa.Column('model', sa.Text(), nullable=False),
        sa.Column('sampler', sa.Text(), nullable=False),
        sa.Column('width', sa.Integer(), nullable=False),
        sa.Column('height', sa.Integer(), nullable=False),
        sa.Column('created', sa.Double(), nullable=False),
        sa.Column('trashed', sa.Double(), nullable=True),
        sa.ForeignKeyConstraint(['artifact'], ['artifacts.id'], name=op.f('fk_pictures_artifact_artifacts'), ondelete='CASCADE'),
        sa.PrimaryKeyConstraint('artifact', name=op.f('pk_pictures'))
    )
    for columns in (['trashed', 'created', 'artifact'], ['trashed', 'model'], ['trashed', 'sampler'], ['trashed', 'width', 'height']):
        op.create_index(op.f(f"ix_pictures_{'_'.join(columns)}"), 'pictures', columns, unique=False)
    _enter_what_is_there(op.get_bind())


def _enter_what_is_there(connection: sa.Connection) -> None:
    artifacts = sa.table("artifacts", *(sa.column(name) for name in ("id", "job", "kind", "created")), sa.column("meta", sa.JSON))
    jobs = sa.table("jobs", sa.column("id"), sa.column("document", sa.JSON))
    pictures = sa.table("pictures", *(sa.column(name) for name in ("artifact", "prompt", "model", "sampler", "width", "height", "created")))
    query = (
        sa.select(artifacts.c.id, artifacts.c.created, artifacts.c.meta, jobs.c.document)
        .join(jobs, jobs.c.id == artifacts.c.job)
        .where(artifacts.c.kind.in_(("image", "grid")))
        .order_by(artifacts.c.id)
        .limit(AT_ONCE)
    )
    last = -1
    while rows := connection.execute(query.where(artifacts.c.id > last)).all():
        connection.execute(pictures.insert(), [_row(*row) for row in rows])
        last = rows[-1][0]


def _row(artifact: int, created: float, meta: dict[str, Any], document: dict[str, Any]) -> dict[str, Any]:
    request, model = document.get("request") or {}, document.get("model") or {}
    infotext = str(meta.get("infotext") or "")
    prompt = infotext.rpartition("\nSteps:")[0].partition("\nNegative prompt:")[0] or str(request.get("prompt") or "")
    return {
        "artifact": artifact, "prompt": " ".join(prompt.casefold().replace("\0", " ").split()), "model": str(model.get("name") or ""),
        "sampler": str(request.get("sampler") or ""), "width": int(meta.get("width") or request.get("width") or 0),
        "height": int(meta.get("height") or request.get("height") or 0), "created": created,
    }


def downgrade() -> None:
    op.drop_table("pictures")
