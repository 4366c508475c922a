"""Tables of the embedded identity service."""

import sqlalchemy as sa

from netloom.store.tables.base import KEY, METADATA

PROJECTS = sa.Table(
    "projects",
    METADATA,
    sa.Column("id", KEY, primary_key=True),
    sa.Column("name", sa.String(64), nullable=False, unique=True),
    sa.Column("description", sa.Text, nullable=False, default=""),
    sa.Column("enabled", sa.Boolean, nullable=False, default=True),
)
USERS = sa.Table(
    "users",
    METADATA,
    sa.Column("id", KEY, primary_key=True),
    sa.Column("name", sa.String(255), nullable=False, unique=True),
    sa.Column("password", sa.String(255), nullable=False, doc="scrypt, see standalone/identity/passwords.py."),
    sa.Column("enabled", sa.Boolean, nullable=False, default=True),
    sa.Column("default_project_id", KEY),
    sa.Column("email", sa.String(255)),
    sa.Column("description", sa.Text),
    sa.Column(
        "tokens_since", sa.Float, nullable=False, default=0, doc="Older tokens are void (revoked, new password)."
    ),
)
ROLES = sa.Table(
    "roles",
    METADATA,
    sa.Column("id", KEY, primary_key=True),
    sa.Column("name", sa.String(255), nullable=False, unique=True),
)
ASSIGNMENTS = sa.Table(
    "assignments",
    METADATA,
    sa.Column("user_id", KEY, sa.ForeignKey("users.id", ondelete="CASCADE"), primary_key=True),
    sa.Column("target_id", KEY, primary_key=True, doc="A project, the domain 'default', or 'system'."),
    sa.Column("role_id", KEY, sa.ForeignKey("roles.id", ondelete="CASCADE"), primary_key=True),
)
APPLICATION_CREDENTIALS = sa.Table(
    "application_credentials",
    METADATA,
    sa.Column("id", KEY, primary_key=True),
    sa.Column("name", sa.String(255), nullable=False),
    sa.Column("description", sa.Text, nullable=False, default=""),
    sa.Column("secret", sa.String(255), nullable=False),
    sa.Column("user_id", KEY, sa.ForeignKey("users.id", ondelete="CASCADE"), nullable=False),
    sa.Column("project_id", KEY, nullable=False),
    sa.Column("roles", sa.JSON, nullable=False, doc="Names."),
    sa.Column("expires_at", sa.String(32)),
    sa.Column("unrestricted", sa.Boolean, nullable=False, default=False),
    sa.UniqueConstraint("user_id", "name"),
)
TOKEN_KEYS = sa.Table(
    "token_keys",
    METADATA,
    sa.Column("id", sa.Integer, primary_key=True, autoincrement=False, doc="Always 1."),
    sa.Column("key", sa.String(64), nullable=False, doc="Fernet key; as secret as the passwords beside it."),
)
REVOKED_TOKENS = sa.Table(
    "revoked_tokens",
    METADATA,
    sa.Column("audit_id", sa.String(64), primary_key=True),
    sa.Column("expires_at", sa.Float, nullable=False),
)
