"""The errors this toolkit raises on purpose; anything else is a bug."""


class SurrogateOptError(Exception):
    """Base of every error raised on purpose. The command line prints it as one line and exits with 2."""


class InputError(SurrogateOptError, ValueError):
    """An argument, table or bound that cannot be used: the message names it, what was expected, what came."""


class ModelFileError(SurrogateOptError, ValueError):
    """A model file that is missing, truncated, or was written by something else."""


class TrainingError(SurrogateOptError, RuntimeError):
    """Training left nothing usable: every member failed, or every strength was skipped."""
