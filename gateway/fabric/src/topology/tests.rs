//! The wiring of a deployment, rule by rule.
