"""Who is told of runs."""

from pydantic import Field

from pipeline.recipe.parts import Part


class Notify(Part):
    """Who is told where a run gives no new model."""

    webhook: str = Field(
        pattern=r"^[A-Za-z_][A-Za-z0-9_]*$",
        description="name of the environment variable with the address, which is a credential and has no "
        "place in a recipe; a run that is refused or fails posts there, as JSON, what the gates said",
    )
