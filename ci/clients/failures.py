"""Why released tests that pass on their own package fail on fasttsne."""

REASONS: dict[str, dict[str, str]] = {}
