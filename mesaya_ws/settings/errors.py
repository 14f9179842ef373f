"""What is raised when the settings cannot be used."""


class SettingsError(Exception):
    """The configuration cannot be used; `problems` holds one sentence for each thing that is wrong."""

    def __init__(self, problems: list[str]) -> None:
        super().__init__("\n".join(problems))
        self.problems = problems
