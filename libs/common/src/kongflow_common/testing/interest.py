"""Who consumes integration events, said beforehand."""

__all__ = ["FixedInterest"]


class FixedInterest:
    """An Interest in `types` and nothing else; `types` may be changed."""

    def __init__(self, *types: str) -> None:
        self.types = set(types)

    async def wanted(self, type_name: str) -> bool:
        """Whether the type is among them."""
        return type_name in self.types
