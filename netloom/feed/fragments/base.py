"""What all fragments are."""

import msgspec


class Fragment(msgspec.Struct, frozen=True, tag_field="kind", omit_defaults=True):
    """Base of all fragments. ``id`` is that of the API object."""

    id: str

    @property
    def name(self) -> str:
        """``kind/id``."""
        return f"{self.__struct_config__.tag}/{self.id}"
