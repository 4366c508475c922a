"""Policies of listeners in haproxy's words: what becomes of requests that meet their rules."""

import re
from collections.abc import Callable, Iterator

from netloom.feed.fragments import L7Policy, L7Rule, Listener

ORDER = ("REJECT", "REDIRECT_TO_URL", "REDIRECT_PREFIX", "REDIRECT_TO_POOL")
"""What to refuse comes first, whatever its position is, and what to redirect before what to pass on."""
COMPARE = {
    "REGEX": "-m reg",
    "STARTS_WITH": "-m beg",
    "ENDS_WITH": "-m end",
    "CONTAINS": "-m sub",
    "EQUAL_TO": "-m str",
}
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")
_PLAIN = re.compile(r"[A-Za-z0-9_.,:/+=\[\]-]+")
_NO_TOKEN = re.compile(r"[^A-Za-z0-9!#$&*+.^_|~-]")


def quoted(text: str) -> str:
    """A word of haproxy's configuration that stands for this text; control characters, which no word has, go."""
    plain = _CONTROL.sub("", text)
    return plain if _PLAIN.fullmatch(plain) else "'" + plain.replace("'", "'\\''") + "'"


def token(text: str) -> str:
    """The name of a header or cookie as an argument of a sample, without what no such name has (RFC 9110, 5.6.2)."""
    return _NO_TOKEN.sub("", text)


def policies(listener: Listener, backend: Callable[[str], str]) -> Iterator[str]:
    """Lines of a frontend. ``backend`` names what a pool's id stands for; a policy with an unknown one is left out."""
    for policy in sorted(listener.policies, key=lambda policy: ORDER.index(policy.action)):
        action = _action(policy, backend)
        if action and policy.rules:
            names = [f"{policy.id}:{number}" for number in range(len(policy.rules))]
            for name, rule in zip(names, policy.rules, strict=True):
                yield f"acl {name} {_condition(rule)}"
            met = " ".join(f"!{name}" if rule.invert else name for name, rule in zip(names, policy.rules, strict=True))
            yield f"{action} if {met}"


def _action(policy: L7Policy, backend: Callable[[str], str]) -> str:
    match policy.action:
        case "REJECT":
            return "http-request deny"
        case "REDIRECT_TO_URL" | "REDIRECT_PREFIX":
            kind = "location" if policy.action == "REDIRECT_TO_URL" else "prefix"
            target = quoted(policy.target.replace("%", "%%"))  # it is a log format
            return f"http-request redirect code {policy.code} {kind} {target}"
        case _:
            name = backend(policy.pool_id)
            return f"use_backend {name}" if name else ""


def _condition(rule: L7Rule) -> str:
    compare, value = COMPARE[rule.compare_type], quoted(rule.value)
    match rule.type:
        case "HOST_NAME":
            return f"req.hdr(host),host_only -i {compare} -- {value}"
        case "PATH":
            return f"path {compare} -- {value}"
        case "FILE_TYPE" if rule.compare_type == "EQUAL_TO":
            return f"path -m end -- {quoted('.' + rule.value)}"
        case "FILE_TYPE":
            return f"path,field(-1,.) {compare} -- {value}"
        case "HEADER":
            return f"req.hdr({token(rule.key)}) {compare} -- {value}"
        case "COOKIE":
            return f"req.cook({token(rule.key)}) {compare} -- {value}"
        case "SSL_CONN_HAS_CERT":
            return "ssl_c_used"
        case "SSL_VERIFY_RESULT":
            return f"ssl_c_verify -m str -- {value}"
        case _:
            return f"ssl_c_s_dn({token(rule.key)}) {compare} -- {value}"
