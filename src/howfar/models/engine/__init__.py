"""How networks run: devices, precision, averaging, shared stretches of sequence."""

#: Raised when the engine gives the same network other values (see core.versions): predictions of
#: every network of the zoo made by an older version are then stale. A network's own number, in
#: its module of `zoo`, is raised when its arithmetic alone changes.
VERSION = 1


def versions(network: str, version: int) -> dict[str, int | str]:
    """Return the versions that decide the values of a network: the engine's and its own."""
    return {"engine": VERSION, network: version}
