"""What load balancers decide by the contents of requests: L7 policies and their rules (Octavia API v2)."""

from netloom.model.fields import REQUIRED, Field, Resource
from netloom.model.kinds import Boolean, Choice, Integer, IntegerChoice, ListOf, Object, Text, Uuid
from netloom.model.loadbalancers import description, head, tail

REJECT, TO_POOL, TO_URL, PREFIX = "REJECT", "REDIRECT_TO_POOL", "REDIRECT_TO_URL", "REDIRECT_PREFIX"
URL = r"https?://[!-~]+"
RULE_TYPES = (
    "HOST_NAME", "PATH", "FILE_TYPE", "HEADER", "COOKIE", "SSL_CONN_HAS_CERT", "SSL_VERIFY_RESULT", "SSL_DN_FIELD",
)  # fmt: skip
COMPARISONS = ("REGEX", "STARTS_WITH", "ENDS_WITH", "CONTAINS", "EQUAL_TO")
VISIBLE = r"[ -~]+"
"""Printable ASCII: what a line of configuration can hold."""

L7POLICY = Resource(
    name="l7policy",
    plural="l7policies",
    table="lb_l7policies",
    label="L7 Policy",
    tagged=True,
    quota=-1,
    fields=(
        *head(),
        description(),
        Field("listener_id", "CVFS", Uuid(), REQUIRED),
        Field("action", "CUVFS", Choice(values=(REJECT, TO_POOL, TO_URL, PREFIX)), REQUIRED),
        Field("redirect_pool_id", "CUVFS", Uuid(nullable=True), None),
        Field("redirect_pool", "C", Object(), stored=False, doc="A pool that is made along with it."),
        Field("redirect_url", "CUVFS", Text(most=255, nullable=True, pattern=URL), None),
        Field("redirect_prefix", "CUVFS", Text(most=255, nullable=True, pattern=URL), None),
        Field("redirect_http_code", "CUVFS", IntegerChoice(values=(301, 302, 303, 307, 308), nullable=True)),
        Field("position", "CUVFS", Integer(least=1, most=2**31 - 1), 2**31 - 1, doc="1 is asked first."),
        Field("rules", "CV", ListOf(item=Object(), null_as=list), (), stored=False),
        *tail(operating=False),
    ),
)

L7RULE = Resource(
    name="rule",
    plural="rules",
    table="lb_l7rules",
    label="L7 Rule",
    tagged=True,
    quota=-1,
    fields=(
        *(item for item in head() if item.name != "name"),
        Field("l7policy_id", "", Uuid()),
        Field("type", "CUVFS", Choice(values=RULE_TYPES), REQUIRED),
        Field("compare_type", "CUVFS", Choice(values=COMPARISONS), REQUIRED),
        Field("key", "CUVFS", Text(most=255, nullable=True, pattern=r"[!#$%&'*+\-.^_`|~0-9A-Za-z]+"), None),
        Field("value", "CUVFS", Text(most=255, least=1, pattern=VISIBLE), REQUIRED),
        Field("invert", "CUVFS", Boolean(null_as=bool), False),
        *tail(operating=False),
    ),
)
