"""Alembic migrations; `alembic.command.revision` writes new ones from script.py.mako."""
