"""Which values of load balancers' objects go together: no database here. All refusals are 400."""

import re
from collections.abc import Mapping
from typing import Any

from netloom.model.lb_l7 import PREFIX, REJECT, TO_POOL, TO_URL
from netloom.model.loadbalancers import HTTP_PROTOCOLS
from netloom.rules.load_balancing.errors import InvalidOption, ValidationException

Values = Mapping[str, Any]
BACKENDS = {
    "HTTP": ("HTTP", "PROXY", "PROXYV2"),
    "TERMINATED_HTTPS": ("HTTP", "PROXY", "PROXYV2"),
    "HTTPS": ("HTTPS", "PROXY", "PROXYV2", "TCP"),
    "TCP": ("HTTP", "HTTPS", "PROXY", "PROXYV2", "TCP"),
    "UDP": ("UDP",),
}
"""What pools of which protocol a listener can lead to."""
TLS_ATTRIBUTES = (
    "default_tls_container_ref", "sni_container_refs", "client_ca_tls_container_ref", "client_crl_container_ref",
    "tls_versions", "tls_ciphers", "alpn_protocols", "hsts_max_age",
)  # fmt: skip
CHECKED_BY_HTTP = ("HTTP", "HTTPS")
HTTP_DEFAULTS = {"http_method": "GET", "url_path": "/", "expected_codes": "200"}
KEYED = ("HEADER", "COOKIE", "SSL_DN_FIELD")
TARGETS = {TO_POOL: "redirect_pool_id", TO_URL: "redirect_url", PREFIX: "redirect_prefix"}
"""The attribute that each action needs, and no other may have."""


def listener(values: Values) -> None:
    """Refuse a listener whose attributes do not fit its protocol."""
    protocol = values["protocol"]
    if values["insert_headers"] and protocol not in HTTP_PROTOCOLS:
        raise InvalidOption(value=sorted(values["insert_headers"]), option=f"a {protocol} protocol listener.")
    if protocol == "TERMINATED_HTTPS":
        if not values["default_tls_container_ref"] and not values["sni_container_refs"]:
            raise ValidationException(
                detail="An SNI or default container reference must be supplied for TERMINATED_HTTPS listeners"
            )
        if values["client_authentication"] != "NONE" and not values["client_ca_tls_container_ref"]:
            raise ValidationException(detail="Client authentication needs client_ca_tls_container_ref")
    elif given := [name for name in TLS_ATTRIBUTES if values.get(name)]:
        raise ValidationException(detail=f"{given[0]} is only allowed on TERMINATED_HTTPS listeners")
    if values["hsts_max_age"] is None and (values["hsts_include_subdomains"] or values["hsts_preload"]):
        raise ValidationException(detail="HSTS configuration options hsts_include_subdomains and hsts_preload need "
                                  "hsts_max_age")  # fmt: skip


def pair(listener_protocol: str, pool_protocol: str) -> None:
    """Refuse a pool that a listener cannot lead to."""
    if pool_protocol not in BACKENDS[listener_protocol]:
        raise ValidationException(
            detail=f"The pool protocol '{pool_protocol}' is invalid while the listener protocol is "
            f"'{listener_protocol}'"
        )


def pool(values: Values) -> None:
    """Refuse a pool whose session persistence cannot work."""
    kept = values["session_persistence"]
    if not kept:
        return
    if kept["type"] == "APP_COOKIE":
        if not kept.get("cookie_name"):
            raise ValidationException(detail="cookie_name is required for session persistence of type APP_COOKIE")
    elif kept.get("cookie_name"):
        raise ValidationException(detail=f"cookie_name is not for session persistence of type {kept['type']}")
    if kept["type"] != "SOURCE_IP" and values["protocol"] != "HTTP":
        raise ValidationException(
            detail=f"session persistence of type {kept['type']} is only for pools of protocol HTTP"
        )
    if values["protocol"] != "UDP" and (kept.get("persistence_timeout") or kept.get("persistence_granularity")):
        raise ValidationException(
            detail="persistence_timeout and persistence_granularity are only for pools of protocol UDP"
        )


def monitor(values: Values, pool_protocol: str) -> dict[str, Any]:
    """The attributes of a health monitor with the defaults of its type; refuses what does not fit it."""
    kind = values["type"]
    if (kind == "UDP-CONNECT") != (pool_protocol == "UDP") and not (pool_protocol == "UDP" and kind in ("HTTP", "TCP")):
        raise ValidationException(detail=f"Monitor type {kind} does not fit a pool of protocol {pool_protocol}")
    if kind in CHECKED_BY_HTTP:
        filled = {name: values.get(name) or default for name, default in HTTP_DEFAULTS.items()}
        if values.get("domain_name") and values.get("http_version") != "1.1":
            raise InvalidOption(value=f"http_version {values.get('http_version')}", option="domain_name: it needs 1.1")
        return dict(values) | filled
    if given := [name for name in (*HTTP_DEFAULTS, "http_version", "domain_name") if values.get(name)]:
        raise InvalidOption(value=given[0], option=f"health monitors of type {kind}")
    return dict(values) | dict.fromkeys(HTTP_DEFAULTS)


def policy(values: Values) -> dict[str, Any]:
    """The attributes of an L7 policy, those of other actions cleared; refuses one without its target."""
    action = values["action"]
    needed = TARGETS.get(action)
    if needed and not values.get(needed):
        raise ValidationException(detail=f"{needed} is required for action {action}")
    cleared: dict[str, Any] = {name: None for name in TARGETS.values() if name != needed}
    code = (values.get("redirect_http_code") or 302) if action in (TO_URL, PREFIX) else None
    if action in (REJECT, TO_POOL) and values.get("redirect_http_code"):
        raise InvalidOption(value="redirect_http_code", option=f"L7 policies with action {action}")
    return dict(values) | cleared | {"redirect_http_code": code}


def rule(values: Values) -> None:
    """Refuse an L7 rule that cannot be asked."""
    kind, comparison, value = values["type"], values["compare_type"], values["value"]
    if (kind in KEYED) != bool(values["key"]):
        raise ValidationException(detail=f"L7 rule type {kind} {'needs a' if kind in KEYED else 'does not take a'} key")
    if kind == "FILE_TYPE" and comparison not in ("EQUAL_TO", "REGEX"):
        raise InvalidOption(value=comparison, option=f"L7 rule type {kind}")
    if kind in ("SSL_CONN_HAS_CERT", "SSL_VERIFY_RESULT") and comparison != "EQUAL_TO":
        raise InvalidOption(value=comparison, option=f"L7 rule type {kind}")
    if kind == "SSL_CONN_HAS_CERT" and value.lower() != "true":
        raise InvalidOption(value=value, option=f"L7 rule type {kind}: it must be True")
    if kind == "SSL_VERIFY_RESULT" and not value.isdecimal():
        raise InvalidOption(value=value, option=f"L7 rule type {kind}: it must be a number")
    if comparison == "REGEX":
        try:
            re.compile(value)
        except re.error as reason:
            raise InvalidOption(value=value, option=f"a regular expression: {reason}") from None
