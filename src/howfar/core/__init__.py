"""What every layer uses: errors, text, atomic writes, registries, versions, provenance."""
