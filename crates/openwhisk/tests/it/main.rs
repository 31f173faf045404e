//! What users of this crate see, as one binary.

mod models;
