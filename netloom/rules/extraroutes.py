"""Static routes of routers."""

import ipaddress
from collections.abc import Mapping, Sequence
from typing import Any

import sqlalchemy as sa

from netloom.model.errors import BadRequest, HTTPBadRequest
from netloom.model.kinds import Invalid
from netloom.model.routers import ROUTER
from netloom.rules import quotas, reading, standard
from netloom.rules.context import Context
from netloom.rules.router_ports import attached
from netloom.store.database import Tx
from netloom.store.tables.network import ROUTERS

View = dict[str, Any]
Route = Mapping[str, str]


class InvalidRoutes(BadRequest):
    """A route that leads nowhere."""

    message = "Invalid format for routes: {routes}, {reason}."


def set_routes(tx: Tx, context: Context, router: View, routes: Sequence[Route]) -> None:
    """Give a router exactly these routes; ``router`` is its view as it is now.

    Raises: InvalidRoutes (a next hop on no attached subnet, or the router's own address), OverQuota.
    """
    if list(routes) == list(router["routes"] or ()):
        return
    quotas.check_routes(tx, context, router["project_id"], len(routes))
    present = attached(tx, router["id"])
    own = {place.ip_address for place in present}
    networks = [ipaddress.ip_network(place.cidr) for place in present]
    for route in routes:
        hop = ipaddress.ip_address(route["nexthop"])
        if not any(hop in network for network in networks):
            raise InvalidRoutes(routes=dict(route), reason="the nexthop is not connected with router")
        if str(hop) in own:
            raise InvalidRoutes(routes=dict(route), reason="the nexthop is used by router")
    standard.update_row(tx, ROUTER, router, {"routes": list(routes)})
    tx.changed("router", router["id"])


def add_extraroutes(tx: Tx, context: Context, current: View, body: Any) -> View:
    """Add the routes of ``{"router": {"routes": […]}}`` that are missing. Raises as ``set_routes``, HTTPBadRequest."""
    given, present = _routes(body), _locked(tx, current)
    new = [route for route in given if route not in present]
    return _stored(tx, context, current | {"routes": present}, present + new)


def remove_extraroutes(tx: Tx, context: Context, current: View, body: Any) -> View:
    """Remove the routes of ``{"router": {"routes": […]}}`` that are there. Raises HTTPBadRequest."""
    given, present = _routes(body), _locked(tx, current)
    return _stored(tx, context, current | {"routes": present}, [route for route in present if route not in given])


def _locked(tx: Tx, router: View) -> list[dict[str, str]]:
    """The present routes; another change waits until this transaction ends."""
    statement = sa.select(ROUTERS.c.routes).where(ROUTERS.c.id == router["id"])
    return list(tx.execute(statement.with_for_update(key_share=True)).scalar() or ())


def _stored(tx: Tx, context: Context, router: View, routes: Sequence[Route]) -> View:
    set_routes(tx, context, router, routes)
    return {"router": reading.by_ids(tx, context, ROUTER, [router["id"]])[0]}


def _routes(body: Any) -> list[dict[str, str]]:
    inner = body.get("router") if isinstance(body, Mapping) else None
    try:
        return list(ROUTER.by_name["routes"].kind.parse(inner["routes"] if isinstance(inner, Mapping) else ""))
    except KeyError:
        raise HTTPBadRequest("Invalid input for router. Reason: it has no 'routes'.") from None
    except Invalid as error:
        raise HTTPBadRequest(f"Invalid input for routes. Reason: {error}.") from None
