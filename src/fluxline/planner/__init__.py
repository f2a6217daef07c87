"""From a plan as written to a plan that an engine compiles: names, types, validation, rules, explain."""
