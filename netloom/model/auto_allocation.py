"""The auto-allocated topology: what "get me a network" makes for a project."""

from netloom.model.fields import Field, Resource, project
from netloom.model.kinds import Uuid

AUTO_ALLOCATED_TOPOLOGY = Resource(
    name="auto_allocated_topology",
    plural="auto_allocated_topologies",
    path="auto-allocated-topology",
    label="Auto-allocated topology",
    extension="auto-allocated-topology",
    verbs=frozenset({"show", "delete"}),
    fields=(Field("id", "V", Uuid(), doc="Id of the network. The address of a topology has its project's id."),
            *project("V")),
)  # fmt: skip
