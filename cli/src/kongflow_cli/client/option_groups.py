"""Options that many commands share, written once."""

import inspect
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, ExitStack

OptionGroup = Callable[..., AbstractContextManager[object]]
"""Its parameters are options; what its context gives is handed to the command."""


def with_options(**groups: OptionGroup) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Gives a command the options of each group in the place of the parameter with its name.

    A group's context is entered before the command runs and left after it. The names of all
    options of one command differ.
    """

    def decorate(command: Callable[..., None]) -> Callable[..., None]:
        own = inspect.signature(command).parameters
        shared = {name: inspect.signature(group).parameters for name, group in groups.items()}

        def run(**values: object) -> None:
            arguments = {name: values[name] for name in own if name not in groups}
            with ExitStack() as stack:
                for name, group in groups.items():
                    options = {option: values[option] for option in shared[name]}
                    arguments[name] = stack.enter_context(group(**options))
                command(**arguments)

        parameters = _parameters(own, shared)
        run.__name__ = command.__name__
        run.__doc__ = command.__doc__
        run.__annotations__ = {each.name: each.annotation for each in parameters}
        # What typer reads the options from.
        run.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
        return run

    return decorate


def without(group: OptionGroup, name: str) -> OptionGroup:
    """The group without one of its options, which has its default: the command has its own."""
    signature = inspect.signature(group)
    left = [each for each in signature.parameters.values() if each.name != name]

    def options(**values: object) -> AbstractContextManager[object]:
        return group(**values)

    # What `with_options` reads the options from.
    options.__signature__ = signature.replace(parameters=left)  # type: ignore[attr-defined]
    return options


def _parameters(
    own: Mapping[str, inspect.Parameter],
    shared: Mapping[str, Mapping[str, inspect.Parameter]],
) -> list[inspect.Parameter]:
    own_options = [each for name, each in own.items() if name not in shared]
    more = [each for group in shared.values() for each in group.values()]
    return [each.replace(kind=inspect.Parameter.KEYWORD_ONLY) for each in (*own_options, *more)]
