"""What an instance is to be: a container, which is there in a moment, or a machine with a kernel of its own.

The image says it by the property ``hypervisor_type`` that Glance knows, or the flavor by the extra spec
``capabilities:hypervisor_type`` that Nova knows: ``qemu`` (or ``kvm``: what works is taken), ``lxc`` or ``container``.
"""

from netloom.standalone.compute.context import Row
from netloom.standalone.web import Problem

CONTAINER, QEMU = "container", "qemu"
_PROPERTY, _SPEC = "hypervisor_type", "capabilities:hypervisor_type"
_KINDS = {CONTAINER: CONTAINER, "lxc": CONTAINER, QEMU: QEMU, "kvm": QEMU}
_LEAST_MB = 128
"""With less memory no machine boots."""


def chosen(image: Row, flavor: Row) -> str:
    """What an instance of an image and a flavor is to be; a container unless one of them says otherwise.

    Raises:
        Problem: 400, there is no such kind, they contradict each other, or the flavor is too small for it.
    """
    by_image = _kind(f"image property {_PROPERTY}", image["properties"].get(_PROPERTY))
    by_flavor = _kind(f"flavor extra spec {_SPEC}", flavor["extra_specs"].get(_SPEC))
    if by_image and by_flavor and by_image != by_flavor:
        raise Problem(400, f"The flavor asks for hypervisor type {by_flavor}, the image for {by_image}.")
    kind = by_image or by_flavor or CONTAINER
    if kind == QEMU and flavor["ram"] < _LEAST_MB:
        raise Problem(400, f"Flavor's memory is too small for a virtual machine: it needs {_LEAST_MB} MiB.")
    return kind


def _kind(where: str, value: object) -> str | None:
    if value in (None, ""):
        return None
    try:
        return _KINDS[str(value).strip().lower()]
    except KeyError:
        raise Problem(400, f"Invalid {where}: '{value}'. It must be one of {', '.join(sorted(_KINDS))}.") from None
