"""The errors of load balancing, as Octavia words them."""

from netloom.model.errors import ApiError, BadRequest, Conflict, NotAuthorized, NotFound


class ImmutableObject(Conflict):
    """The object's load balancer is not ready for another change."""

    message = "{resource} {id} is immutable and cannot be updated."


class LBPendingStateError(Conflict):
    """A load balancer in the middle of a change cannot be removed."""

    message = "Invalid state {state} of loadbalancer resource {id}"


class ValidationException(BadRequest):
    """Values that do not go together."""

    message = "Validation failure: {detail}"


class InvalidOption(BadRequest):
    """A value that is not for this object."""

    message = "{value} is not a valid option for {option}"


class DisabledOption(BadRequest):
    """Something that is there, but not offered."""

    message = "The selected {option} is not allowed in this deployment: {value}"


class ObjectInUse(Conflict):
    """Something else depends on the object."""

    message = "{object} {id} is in use and cannot be modified."


class RecordAlreadyExists(Conflict):
    """Another object has the value."""

    message = "A record of field {field} already exists"


class ProviderUnsupportedOptionError(ApiError):
    """The provider has no such thing."""

    status = 501
    message = "Provider '{provider}' does not support a requested option: {option}"


class ListenerExists(Conflict):
    """The balancer has a listener there."""

    message = "Another Listener on this Load Balancer is already using protocol {protocol} and protocol_port {port}"


class DuplicateMemberEntry(Conflict):
    """The pool has the member."""

    message = "Another member on this pool is already using ip {ip_address} on protocol_port {port}"


class DuplicateHealthMonitor(Conflict):
    """The pool is watched."""

    message = "This pool already has a health monitor"


class DuplicatePoolEntry(Conflict):
    """The listener has a default pool."""

    message = "This listener already has a default pool"


class PoolInUseByL7Policy(Conflict):
    """A policy leads to the pool."""

    message = "Pool {id} is in use by L7 policy {l7policy_id}"


class TooManyL7RulesOnL7Policy(Conflict):
    """A policy takes as many rules as its configuration can hold."""

    message = "Too many rules on L7 policy {id}"


class QuotaException(NotAuthorized):
    """No more of them."""

    message = "Quota has been met for resources: {resource}"


class VIPAddressConflict(Conflict):
    """The address is taken."""

    message = "VIP address {address} is in use already."


class LoadBalancerNotFound(NotFound):
    """No such object of load balancing."""

    message = "{resource} {id} not found."


class SubresourceNotFound(BadRequest):
    """A request names what is not there."""

    message = "{resource} {id} not found."
