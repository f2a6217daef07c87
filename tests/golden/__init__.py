"""Golden tests: small texts that say what goes in, when, and which rows come out, each derived by hand."""
