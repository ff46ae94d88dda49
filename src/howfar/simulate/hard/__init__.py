"""The hard setting of the demo world: a network fails across people, for reasons that are known."""
