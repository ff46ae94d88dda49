"""Training networks on people: losses, heads, samplers, schedules and splits of three studies."""
