//! What the REST API speaks of.
