"""Programs as data: what a facility offers, asks and promises, written in TOML and validated here."""
